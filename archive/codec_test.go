package archive

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// Values of type bytea are written in hexadecimal, of which half can be saved
// though no stretch of it repeats.
func TestZstdOfHex(t *testing.T) {
	raw := make([]byte, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range raw {
		raw[i] = byte(random.Uint32())
	}
	text := hex.AppendEncode(nil, raw)
	for _, level := range []int{0, 1, 3, 9} {
		e, err := newZstdEncoder(level)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := e.frame(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		if len(packed) > len(text)*53/100 {
			t.Errorf("level %d: %d bytes of hexadecimal take %d", level, len(text), len(packed))
		}
	}
}
