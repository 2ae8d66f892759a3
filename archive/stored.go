package archive

import "os"

// Stored returns how many bytes the data of an entry takes in the archive, as
// far as that can be told without reading it: -1 if it cannot, as in a custom
// archive that pg_dump wrote to a pipe or where a file is missing.
func Stored(r Reader, id int) int64 {
	s, ok := r.(interface{ storedBytes(e *Entry) int64 })
	if !ok {
		return -1
	}
	entries := r.Entries()
	for i := range entries {
		if e := &entries[i]; e.ID == id && e.HasData {
			return s.storedBytes(e)
		}
	}
	return -1
}

func (r *dirReader) storedBytes(e *Entry) int64 {
	size := func(name string) int64 {
		p, err := r.locate(name)
		if err != nil {
			return -1
		}
		info, err := os.Stat(p.path)
		if err != nil {
			return -1
		}
		return info.Size()
	}
	return storedFiles(r, e, size)
}

func (t *tarReader) storedBytes(e *Entry) int64 {
	size := func(name string) int64 {
		m, err := t.member(name)
		if err != nil {
			return -1
		}
		return m.Size()
	}
	return storedFiles(t, e, size)
}

// storedFiles adds up the files of an entry.
func storedFiles(r Reader, e *Entry, size func(name string) int64) int64 {
	sum := size(e.File)
	if sum < 0 || e.Kind != "BLOBS" {
		return sum
	}
	list, err := r.LargeObjects(e.ID)
	if err != nil {
		return -1
	}
	for _, lo := range list {
		n := size(lo.File)
		if n < 0 {
			return -1
		}
		sum += n
	}
	return sum
}

func (c *customReader) storedBytes(e *Entry) int64 {
	if f, ok := c.files[blockName(e)]; ok {
		return f.Size
	}
	if n := c.stored(e); n > 0 {
		return n
	}
	return -1
}
