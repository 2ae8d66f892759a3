package copyproto

import "encoding/binary"

// maxDims is how many dimensions an array can have (MAXDIM of the server).
const maxDims = 6

// array appends an array. Those whose subscripts do not begin at 1 are written
// with their bounds in front, which is refused.
func (w *BinaryWriter) array(out []byte, c *Column, text []byte) ([]byte, error) {
	depth := 0
	for depth < len(text) && text[depth] == '{' {
		depth++
	}
	if depth == 0 || depth > maxDims || len(text) < 2*depth {
		return out, errForm
	}
	head := len(out)
	out = binary.BigEndian.AppendUint32(out, uint32(depth))
	out = binary.BigEndian.AppendUint32(out, 0) // whether there are NULLs
	out = binary.BigEndian.AppendUint32(out, c.Element)
	if depth == 1 && len(text) == 2 && text[1] == '}' { // an empty array has no dimensions
		binary.BigEndian.PutUint32(out[head:], 0)
		return out, nil
	}
	for range depth {
		out = binary.BigEndian.AppendUint64(out, 1) // the size is filled in below
	}
	a := arrayReader{text: text, depth: depth}
	out, err := a.read(out, c.Type, 0)
	if err != nil || a.pos != len(text) {
		return out, errForm
	}
	if a.nulls {
		binary.BigEndian.PutUint32(out[head+4:], 1)
	}
	for k := range depth {
		binary.BigEndian.PutUint32(out[head+12+8*k:], uint32(a.sizes[k]))
	}
	return out, nil
}

// An arrayReader walks through the text of one array.
type arrayReader struct {
	text  []byte
	pos   int
	depth int
	sizes [maxDims]int // 0 is not known yet
	nulls bool
	value []byte
}

// read appends the elements of the braces at pos.
func (a *arrayReader) read(out []byte, t Type, level int) ([]byte, error) {
	if a.pos >= len(a.text) || a.text[a.pos] != '{' {
		return out, errForm
	}
	for n := 1; ; n++ {
		a.pos++ // the brace or the comma
		var err error
		if level+1 < a.depth {
			out, err = a.read(out, t, level+1)
		} else {
			out, err = a.element(out, t)
		}
		if err != nil || a.pos >= len(a.text) {
			return out, errForm
		}
		switch a.text[a.pos] {
		case ',':
		case '}':
			a.pos++
			if a.sizes[level] == 0 {
				a.sizes[level] = n
			}
			if a.sizes[level] != n {
				return out, errForm
			}
			return out, nil
		default:
			return out, errForm
		}
	}
}

// element appends the element at pos.
func (a *arrayReader) element(out []byte, t Type) ([]byte, error) {
	at := len(out)
	out = append(out, 0xff, 0xff, 0xff, 0xff)
	var v []byte
	if a.pos < len(a.text) && a.text[a.pos] == '"' {
		var ok bool
		if v, ok = a.quoted(); !ok {
			return out, errForm
		}
	} else {
		start := a.pos
		for a.pos < len(a.text) && a.text[a.pos] != ',' && a.text[a.pos] != '}' {
			switch a.text[a.pos] {
			case '{', '"', '\\':
				return out, errForm
			}
			a.pos++
		}
		v = a.text[start:a.pos]
		switch {
		case len(v) == 0:
			return out, errForm
		case string(v) == "NULL":
			a.nulls = true
			return out, nil
		}
	}
	out, err := t.append(out, v)
	if err == nil {
		binary.BigEndian.PutUint32(out[at:], uint32(len(out)-at-4))
	}
	return out, err
}

// quoted returns the value of an element in double quotes.
func (a *arrayReader) quoted() ([]byte, bool) {
	a.value = a.value[:0]
	for a.pos++; a.pos < len(a.text); a.pos++ {
		switch c := a.text[a.pos]; c {
		case '"':
			a.pos++
			return a.value, true
		case '\\':
			if a.pos++; a.pos == len(a.text) {
				return nil, false
			}
			a.value = append(a.value, a.text[a.pos])
		default:
			a.value = append(a.value, c)
		}
	}
	return nil, false
}
