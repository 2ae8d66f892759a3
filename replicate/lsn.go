package replicate

import (
	"fmt"
	"strconv"
	"strings"
)

// An LSN is a position in the write-ahead log of the source. Zero is none.
type LSN uint64

// String writes the position as servers do: 16/B374D848.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads a position as servers write it.
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no position in a write-ahead log", s)
	}
	return LSN(h<<32 | l), nil
}

// Scan reads what a server has sent as text.
func (l *LSN) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*l = 0
		return nil
	case string:
		var err error
		*l, err = ParseLSN(v)
		return err
	default:
		return fmt.Errorf("%T is no position in a write-ahead log", v)
	}
}

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LSN) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLSN(string(b))
	return err
}
