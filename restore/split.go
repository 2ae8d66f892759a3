package restore

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// A splitter cuts the text of a data file in INSERT form into statements. Such
// text holds names in double quotes and values in single quotes, and neither
// comments, dollar quotes nor escape strings.
type splitter struct {
	r *bufio.Reader
	// plain says that a backslash in a string is itself: the text was written
	// with standard_conforming_strings on.
	plain bool
}

// next returns the next statement with its semicolon, or io.EOF. Text after the
// last semicolon that is not blank is returned as it is.
func (s *splitter) next() (string, error) {
	var b strings.Builder
	var in byte // the quote we are in, or 0
	escaped := false
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && strings.TrimSpace(b.String()) != "" {
				return strings.TrimSpace(b.String()), nil
			}
			return "", err
		}
		b.WriteByte(c)
		switch {
		case in == 0 && (c == '\'' || c == '"'):
			in = c
		case in == 0 && c == ';':
			return strings.TrimSpace(b.String()), nil
		case in == 0:
		case escaped:
			escaped = false
		case c == '\\' && in == '\'' && !s.plain:
			escaped = true
		case c == in: // a doubled quote leaves the string and enters it again
			in = 0
		}
	}
}

// splitAll splits SQL text of the same simple kind that is held in memory.
func splitAll(sql string) []string {
	s := splitter{bufio.NewReader(strings.NewReader(sql)), true}
	var all []string
	for {
		stmt, err := s.next()
		if err != nil {
			return all
		}
		all = append(all, stmt)
	}
}
