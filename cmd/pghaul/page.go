package main

import (
	_ "embed" // templates
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
)

//go:embed report_parts.html
var pageParts string // templates that pages share

// writeTemplate fills a page's template.
func writeTemplate(w io.Writer, text string, data any) error {
	t, err := template.New("report").Parse(pageParts + text)
	if err != nil {
		return err
	}
	return t.Execute(w, data)
}

// A pageFile is where a page for people goes. It is opened before the work, so
// that a bad name fails at once. A nil pageFile takes nothing.
type pageFile struct {
	file *os.File
	made bool // it was not there before
	done bool
}

func openPage(path string) (*pageFile, error) {
	if path == "" {
		return nil, nil
	}
	_, err := os.Stat(path)
	made := errors.Is(err, os.ErrNotExist)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	return &pageFile{file: file, made: made}, nil
}

// close writes the page, if there is something to tell, and closes the file.
// Without that a file is left as it was. Only the first call does something.
func (p *pageFile) close(tell bool, write func(io.Writer) error) error {
	if p == nil || p.done {
		return nil
	}
	p.done = true
	var err error
	switch info, statErr := p.file.Stat(); {
	case !tell:
		if err = p.file.Close(); p.made {
			err = errors.Join(err, os.Remove(p.file.Name()))
		}
		return err
	case statErr == nil && info.Mode().IsRegular():
		err = p.file.Truncate(0)
	}
	if err == nil {
		err = write(p.file)
	}
	if err = errors.Join(err, p.file.Close()); err != nil {
		return fmt.Errorf("write report %s: %w", p.file.Name(), err)
	}
	return nil
}
