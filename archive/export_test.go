package archive

import (
	"io/fs"
	"sync"
)

// WithFaults makes what is written with the options ask fail before each call of
// the file system: "mkdir", "create", "write", "sync", "close", "rename",
// "remove" or "syncdir" of a path. A write that fails writes its first half;
// nothing waits for the disk.
func WithFaults(o WriterOptions, fail func(op, path string) error) WriterOptions {
	var mu sync.Mutex
	o.store = faultyStore{func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		return fail(op, path)
	}}
	return o
}

type faultyStore struct {
	fail func(op, path string) error
}

func (s faultyStore) mkdir(path string) error {
	if err := s.fail("mkdir", path); err != nil {
		return err
	}
	return localStore{}.mkdir(path)
}

func (s faultyStore) create(path string, perm fs.FileMode) (storeFile, error) {
	if err := s.fail("create", path); err != nil {
		return nil, err
	}
	f, err := localStore{}.create(path, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, s}, nil
}

func (s faultyStore) rename(from, to string) error {
	if err := s.fail("rename", to); err != nil {
		return err
	}
	return localStore{}.rename(from, to)
}

func (s faultyStore) remove(path string) error {
	if err := s.fail("remove", path); err != nil {
		return err
	}
	return localStore{}.remove(path)
}

func (s faultyStore) syncDir(path string) error {
	return s.fail("syncdir", path)
}

type faultyFile struct {
	storeFile
	s faultyStore
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.s.fail("write", f.Name()); err != nil {
		n, _ := f.storeFile.Write(p[:len(p)/2])
		return n, err
	}
	return f.storeFile.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.s.fail("write", f.Name()); err != nil {
		n, _ := f.storeFile.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.storeFile.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	return f.s.fail("sync", f.Name())
}

func (f *faultyFile) Close() error {
	err := f.s.fail("close", f.Name())
	if cerr := f.storeFile.Close(); err == nil {
		err = cerr
	}
	return err
}
