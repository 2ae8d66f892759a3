package copyproto

import (
	"encoding/binary"
	"math"
)

const (
	microsecond = 1
	second      = 1000000 * microsecond
	minute      = 60 * second
	hour        = 60 * minute
	day         = 24 * hour
	// epoch is 2000-01-01, from which servers count, in days since 0000-03-01.
	epoch = 730425
	// lastYear keeps days in 32 bits and microseconds in 64.
	lastYear = 290000
)

// appendDate appends a date: days since 2000-01-01.
func appendDate(out, v []byte) ([]byte, error) {
	switch string(v) {
	case "infinity":
		return binary.BigEndian.AppendUint32(out, math.MaxInt32), nil
	case "-infinity":
		return binary.BigEndian.AppendUint32(out, 1<<31), nil
	}
	days, rest, ok := calendar(v)
	return binary.BigEndian.AppendUint32(out, uint32(days)), form(ok && len(rest) == 0)
}

// timestamp reads "2024-01-31 10:20:30.5", with "+00", "-03:30" or "+01:02:03"
// behind it if zoned, as microseconds since 2000-01-01.
func timestamp(v []byte, zoned bool) (int64, bool) {
	switch string(v) {
	case "infinity":
		return math.MaxInt64, true
	case "-infinity":
		return math.MinInt64, true
	}
	days, rest, ok := calendar(v)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return 0, false
	}
	us, rest, ok := clock(rest[1:])
	if !ok || us == day { // 24:00:00 is a time, but of no day
		return 0, false
	}
	us += days * day
	if !zoned {
		return us, len(rest) == 0
	}
	if len(rest) < 3 || rest[0] != '+' && rest[0] != '-' {
		return 0, false
	}
	east, unit := int64(0), int64(hour)
	for k := 1; k < len(rest); k += 3 {
		n, ok := two(rest[k:])
		if !ok || unit < second || k+2 < len(rest) && (rest[k+2] != ':' || k+3 == len(rest)) {
			return 0, false
		}
		east += n * unit
		unit /= 60
	}
	if rest[0] == '-' {
		east = -east
	}
	return us - east, true
}

// calendar reads "2024-01-31" as days since 2000-01-01.
func calendar(v []byte) (days int64, rest []byte, ok bool) {
	i, y := 0, int64(0)
	for i < len(v) && i < 6 && v[i] >= '0' && v[i] <= '9' {
		y = y*10 + int64(v[i]-'0')
		i++
	}
	if i < 4 || len(v) < i+6 || v[i] != '-' || v[i+3] != '-' || y == 0 || y > lastYear {
		return 0, nil, false
	}
	m, ok := two(v[i+1:])
	d, ok2 := two(v[i+4:])
	if !ok || !ok2 || m < 1 || m > 12 || d < 1 || d > monthDays(y, m) {
		return 0, nil, false
	}
	// Years that begin in March have their odd day at the end, and their months
	// follow a pattern of 153 days in five.
	if m < 3 {
		y--
		m += 12
	}
	days = 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - epoch
	return days, v[i+6:], true
}

func monthDays(y, m int64) int64 {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// clock reads "10:20:30.123456" as microseconds since midnight.
func clock(v []byte) (us int64, rest []byte, ok bool) {
	if len(v) < 8 || v[2] != ':' || v[5] != ':' {
		return 0, nil, false
	}
	h, ok := two(v)
	m, ok2 := two(v[3:])
	s, ok3 := two(v[6:])
	if !ok || !ok2 || !ok3 || h > 24 || m > 59 || s > 59 {
		return 0, nil, false
	}
	us, rest = h*hour+m*minute+s*second, v[8:]
	if len(rest) > 0 && rest[0] == '.' {
		rest = rest[1:]
		unit, i := int64(second), 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			if unit /= 10; unit == 0 {
				return 0, nil, false
			}
			us += int64(rest[i]-'0') * unit
			i++
		}
		if i == 0 {
			return 0, nil, false
		}
		rest = rest[i:]
	}
	return us, rest, us <= day
}

// two reads two digits.
func two(v []byte) (int64, bool) {
	if len(v) < 2 || v[0] < '0' || v[0] > '9' || v[1] < '0' || v[1] > '9' {
		return 0, false
	}
	return int64(v[0]-'0')*10 + int64(v[1]-'0'), true
}
