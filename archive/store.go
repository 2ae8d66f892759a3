package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A store is what writers need of the file system. It is the one of package os,
// but in tests, which put one in that fails when they want it to.
type store interface {
	mkdir(path string) error
	// create makes a file, which must not exist.
	create(path string, perm fs.FileMode) (storeFile, error)
	rename(from, to string) error
	remove(path string) error
	// syncDir makes the names in a directory last.
	syncDir(path string) error
}

// A storeFile is a file that is being written.
type storeFile interface {
	io.Writer
	io.WriterAt
	io.ReaderAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Sync() error
}

// localStore is the file system of the machine.
type localStore struct{}

func (localStore) mkdir(path string) error      { return os.Mkdir(path, 0o700) }
func (localStore) rename(from, to string) error { return os.Rename(from, to) }
func (localStore) remove(path string) error     { return os.Remove(path) }
func (localStore) syncDir(path string) error    { return syncDir(path) }

func (localStore) create(path string, perm fs.FileMode) (storeFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// fileError says what could not be done with a file, by its path. Most errors
// of the file system name it already, but not all do.
func fileError(doing, path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}
