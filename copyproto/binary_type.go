package copyproto

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
)

// A Type is a way to write values in the binary format.
type Type uint8

// The types of which both formats are known. The others' are not, or one of the
// two depends on more than the value, as that of a regclass does.
const (
	TypeUnknown Type = iota
	TypeText         // what is the same in both: text and its kin, json, labels of enums
	TypeBool
	TypeInt2
	TypeInt4
	TypeInt8
	TypeOID
	TypeFloat4
	TypeFloat8
	TypeNumeric
	TypeBytea
	TypeUUID
	TypeJSONB
	TypeDate
	TypeTime
	TypeTimestamp
	TypeTimestamptz
)

// TypeOf returns the Type of a built-in type, by its OID in pg_type, and
// TypeUnknown for all others.
func TypeOf(oid uint32) Type {
	switch oid {
	case 25, 1042, 1043, 19, 114: // text, bpchar, varchar, name, json
		return TypeText
	case 16:
		return TypeBool
	case 21:
		return TypeInt2
	case 23:
		return TypeInt4
	case 20:
		return TypeInt8
	case 26:
		return TypeOID
	case 700:
		return TypeFloat4
	case 701:
		return TypeFloat8
	case 1700:
		return TypeNumeric
	case 17:
		return TypeBytea
	case 2950:
		return TypeUUID
	case 3802:
		return TypeJSONB
	case 1082:
		return TypeDate
	case 1083:
		return TypeTime
	case 1114:
		return TypeTimestamp
	case 1184:
		return TypeTimestamptz
	}
	return TypeUnknown
}

// append appends the binary form of a value.
func (t Type) append(out, v []byte) ([]byte, error) {
	switch t {
	case TypeText:
		return append(out, v...), nil
	case TypeBool:
		if len(v) != 1 || v[0] != 't' && v[0] != 'f' {
			return out, errForm
		}
		if v[0] == 't' {
			return append(out, 1), nil
		}
		return append(out, 0), nil
	case TypeInt2:
		n, ok := integer(v, math.MinInt16, math.MaxInt16)
		return binary.BigEndian.AppendUint16(out, uint16(n)), form(ok)
	case TypeInt4:
		n, ok := integer(v, math.MinInt32, math.MaxInt32)
		return binary.BigEndian.AppendUint32(out, uint32(n)), form(ok)
	case TypeOID:
		n, ok := integer(v, 0, math.MaxUint32)
		return binary.BigEndian.AppendUint32(out, uint32(n)), form(ok)
	case TypeInt8:
		n, ok := integer(v, math.MinInt64, math.MaxInt64)
		return binary.BigEndian.AppendUint64(out, uint64(n)), form(ok)
	case TypeFloat4:
		f, ok := float(v, 32)
		return binary.BigEndian.AppendUint32(out, math.Float32bits(float32(f))), form(ok)
	case TypeFloat8:
		f, ok := float(v, 64)
		return binary.BigEndian.AppendUint64(out, math.Float64bits(f)), form(ok)
	case TypeNumeric:
		return appendNumeric(out, v)
	case TypeBytea:
		if len(v) < 2 || v[0] != '\\' || v[1] != 'x' {
			return out, errForm
		}
		out, err := hex.AppendDecode(out, v[2:])
		return out, form(err == nil)
	case TypeUUID:
		return appendUUID(out, v)
	case TypeJSONB:
		return append(append(out, 1), v...), nil // 1 is the version of the format
	case TypeDate:
		return appendDate(out, v)
	case TypeTime:
		us, rest, ok := clock(v)
		return binary.BigEndian.AppendUint64(out, uint64(us)), form(ok && len(rest) == 0)
	case TypeTimestamp, TypeTimestamptz:
		us, ok := timestamp(v, t == TypeTimestamptz)
		return binary.BigEndian.AppendUint64(out, uint64(us)), form(ok)
	case TypeUnknown:
	}
	return out, errForm
}

func form(ok bool) error {
	if !ok {
		return errForm
	}
	return nil
}

// integer reads digits with or without a minus before them.
func integer(v []byte, least, most int64) (int64, bool) {
	digits := v
	if len(v) > 0 && v[0] == '-' {
		digits = v[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var n uint64 // 19 digits fit
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	if len(digits) < len(v) {
		if n > 1<<63 {
			return 0, false
		}
		i := -int64(n)
		return i, i >= least
	}
	return int64(n), n <= uint64(most)
}

// float reads a floating-point number, which servers and strconv round alike.
func float(v []byte, bits int) (float64, bool) {
	switch string(v) {
	case "NaN":
		return math.Float64frombits(0x7ff8 << 48), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	case "":
		return 0, false
	}
	zero := true
	for _, c := range v {
		switch {
		case c >= '1' && c <= '9':
			zero = false
		case c == '0', c == '.', c == '-', c == '+':
		case c == 'e':
			if zero {
				return 0, false
			}
		default: // hexadecimal numbers, underscores and names that only strconv knows
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(v), bits)
	return f, err == nil && (f != 0 || zero) // a server refuses what is too small
}

// appendUUID appends a UUID, whose hyphens servers write after 8, 12, 16 and 20
// digits.
func appendUUID(out, v []byte) ([]byte, error) {
	if len(v) != 36 || v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
		return out, errForm
	}
	var err error
	for _, part := range [...][]byte{v[:8], v[9:13], v[14:18], v[19:23], v[24:]} {
		if out, err = hex.AppendDecode(out, part); err != nil {
			return out, errForm
		}
	}
	return out, nil
}

const (
	// numericBase is what the digits of a numeric count to in the binary format.
	numericBase  = 10000
	baseDigits   = 4
	numericMinus = 0x4000
	numericNaN   = 0xC000
	numericPlus  = 0xD000 // infinity, as from version 14
	numericLess  = 0xF000 // minus infinity
	// mostDigits is far beyond what anyone writes and below what counters hold.
	mostDigits = 16000
)

// appendNumeric appends a numeric: the number of digits to base 10000, the weight
// of the first of them, the sign, the number of decimal digits after the point,
// and the digits.
func appendNumeric(out, v []byte) ([]byte, error) {
	// Number of digits and weight are filled in below.
	head := func(sign, scale int) {
		out = binary.BigEndian.AppendUint64(out, uint64(sign)<<16|uint64(scale))
	}
	switch string(v) {
	case "NaN":
		head(numericNaN, 0)
		return out, nil
	case "Infinity":
		head(numericPlus, 0)
		return out, nil
	case "-Infinity":
		head(numericLess, 0)
		return out, nil
	}
	sign := 0
	if len(v) > 0 && v[0] == '-' {
		sign, v = numericMinus, v[1:]
	}
	point := len(v) // where the digits after the point begin
	for i, c := range v {
		switch {
		case c >= '0' && c <= '9':
		case c == '.' && point == len(v) && i > 0 && i+1 < len(v):
			point = i
		default:
			return out, errForm
		}
	}
	if len(v) == 0 || len(v) > mostDigits {
		return out, errForm
	}
	scale := max(len(v)-point-1, 0)
	at := len(out)
	head(sign, scale)
	// The digit of weight w is made of the decimal digits from 4w up to 4w+3 places
	// before the point.
	first := (point+baseDigits-1)/baseDigits - 1
	last := -(scale + baseDigits - 1) / baseDigits
	digits, weight, zeros := 0, 0, 0
	for w := first; w >= last; w-- {
		d := 0
		for p := (w + 1) * baseDigits; p > w*baseDigits; p-- { // places before the point
			d *= 10
			i := point - p
			if p <= 0 {
				i++ // beyond the point itself
			}
			if i >= 0 && i < len(v) {
				d += int(v[i] - '0')
			}
		}
		switch {
		case d != 0 && digits == 0:
			weight = w
		case d == 0:
			zeros++
			continue
		}
		if digits > 0 { // zeros within
			for range zeros {
				out = append(out, 0, 0)
			}
			digits += zeros
		}
		zeros = 0
		out = binary.BigEndian.AppendUint16(out, uint16(d))
		digits++
	}
	if digits == 0 {
		weight = 0
		binary.BigEndian.PutUint16(out[at+4:], 0) // there is no minus zero
	}
	binary.BigEndian.PutUint16(out[at:], uint16(digits))
	binary.BigEndian.PutUint16(out[at+2:], uint16(int16(weight)))
	return out, nil
}
