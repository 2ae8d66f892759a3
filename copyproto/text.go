package copyproto

import "bytes"

// indexNewline returns the position of the first newline in p, or -1. COPY text
// writes a newline inside a value as \n, so a bare one ends a row, in every
// encoding a server can have.
func indexNewline(p []byte) int { return bytes.IndexByte(p, '\n') }

// CountRows returns how many rows end in p.
func CountRows(p []byte) int64 { return int64(bytes.Count(p, []byte{'\n'})) }

// lastNewline returns the position of the last newline in p, or -1.
func lastNewline(p []byte) int { return bytes.LastIndexByte(p, '\n') }
