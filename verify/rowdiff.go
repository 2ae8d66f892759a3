package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
)

// compare counts the differences among rows and returns some of them.
func (d *drill) compare(ctx context.Context, found [2][]entry, keep bool) ([]Row, error) {
	type change struct{ source, target *entry }
	var show []change
	source, target := found[0], found[1]
	for len(source) > 0 || len(target) > 0 {
		k := uint64(0)
		switch {
		case len(source) == 0:
			k = target[0].key
		case len(target) == 0:
			k = source[0].key
		default:
			k = min(source[0].key, target[0].key)
		}
		s, t := only(&source, k), only(&target, k)
		replace := d.key != nil && max(len(s), len(t)) > 1
		s, t = withoutCommon(s, t)
		for i := range max(len(s), len(t)) {
			var x change
			a := d.actions[k]
			if i < len(s) {
				x.source = &s[i]
			}
			if i < len(t) {
				x.target = &t[i]
			}
			switch {
			case x.target == nil:
				d.report.Missing++
				a.insert++
			case x.source == nil:
				d.report.Extra++
				a.remove++
			default:
				d.report.Changed++
				a.change = true
			}
			a.replace = replace
			if d.actions != nil {
				if _, known := d.actions[k]; known || len(d.actions) < roomForRows {
					d.actions[k] = a
				} else {
					d.partial = true
				}
			}
			if len(d.report.Rows)+len(show) < d.c.opts.MaxRows {
				show = append(show, x)
			}
		}
	}
	if !keep && len(show) > 0 {
		wanted := map[uint64]bool{}
		for _, x := range show {
			wanted[cmp.Or(x.source, x.target).key] = true
		}
		texts, err := d.fetch(ctx, wanted)
		if err != nil {
			return nil, err
		}
		for _, x := range show {
			if x.source != nil {
				x.source.text = texts[0][[2]uint64{x.source.key, x.source.hash}]
			}
			if x.target != nil {
				x.target.text = texts[1][[2]uint64{x.target.key, x.target.hash}]
			}
		}
	}
	var rows []Row
	for _, x := range show {
		rows = append(rows, d.row(x.source, x.target))
	}
	return rows, nil
}

// only takes the entries of a key from the beginning of a list.
func only(list *[]entry, k uint64) []entry {
	n := 0
	for n < len(*list) && (*list)[n].key == k {
		n++
	}
	out := (*list)[:n]
	*list = (*list)[n:]
	return out
}

// withoutCommon takes the rows out that both have.
func withoutCommon(s, t []entry) (left, right []entry) {
	for len(s) > 0 && len(t) > 0 {
		switch {
		case s[0].hash == t[0].hash:
			s, t = s[1:], t[1:]
		case s[0].hash < t[0].hash:
			left, s = append(left, s[0]), s[1:]
		default:
			right, t = append(right, t[0]), t[1:]
		}
	}
	return append(left, s...), append(right, t...)
}

// row describes a row that is at one end only, or that both have in different
// states.
func (d *drill) row(source, target *entry) Row {
	r := Row{Status: status(source != nil, target != nil), Key: []Value{}}
	var fields [2][][]byte
	for i, e := range []*entry{source, target} {
		if e != nil && e.text != nil {
			fields[i] = bytes.Split(e.text, []byte{'\t'})
		}
	}
	have := fields[0]
	if have == nil {
		have = fields[1]
	}
	if have == nil { // a row that there is no room for
		return r
	}
	if d.key == nil {
		for n := range d.columns {
			r.Key = append(r.Key, d.value(have, n))
		}
		return r
	}
	for _, n := range d.key {
		r.Key = append(r.Key, d.value(have, n))
	}
	if fields[0] == nil || fields[1] == nil {
		return r
	}
	for n, name := range d.columns {
		if n < len(fields[0]) && n < len(fields[1]) && !bytes.Equal(fields[0][n], fields[1][n]) {
			r.Columns = append(r.Columns, ColumnDiff{Name: name, Source: d.value(fields[0], n), Target: d.value(fields[1], n)})
		}
	}
	return r
}

// maxShown is how many bytes of a value are shown.
const maxShown = 200

// value is a field for showing.
func (d *drill) value(fields [][]byte, n int) Value {
	if n >= len(fields) {
		return nil
	}
	if d.c.opts.Mask {
		masked := "***"
		return &masked
	}
	text, null := unescape(fields[n])
	if null {
		return nil
	}
	if len(text) > maxShown {
		text = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxShown], ""), len(text))
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	return &text
}

// unescape reads a field of COPY text.
func unescape(field []byte) (text string, isNull bool) {
	if bytes.Equal(field, null) {
		return "", true
	}
	if bytes.IndexByte(field, '\\') < 0 {
		return string(field), false
	}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == '\\' && i+1 < len(field) {
			i++
			c = field[i]
			if n := strings.IndexByte("bfnrtv", c); n >= 0 {
				c = "\b\f\n\r\t\v"[n]
			}
		}
		out = append(out, c)
	}
	return string(out), false
}
