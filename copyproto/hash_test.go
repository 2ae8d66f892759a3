package copyproto

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func sample(rows int) []byte {
	var b bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&b, "%d\t%s\t\\N\n", i, strings.Repeat("text ", i%40))
	}
	return b.Bytes()
}

// TestDigestStays holds the digest to what manifests of older archives have.
func TestDigestStays(t *testing.T) {
	t.Parallel()
	var h Hasher
	_, _ = h.Write([]byte("1\tone\n2\ttwo\n\n" + strings.Repeat("x", 100) + "\n"))
	const want = "4-7bb30cdff3bc1184-85cedffecdb02ac9"
	if got := h.Sum().String(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestHasherAnyCut shows that the digest is that of the rows wherever the text
// is cut, and in whatever order they come.
func TestHasherAnyCut(t *testing.T) {
	t.Parallel()
	text := sample(500)
	var whole Hasher
	_, _ = whole.Write(text)
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var h Hasher
		for rest := text; len(rest) > 0; {
			n := min(rnd.IntN(400), len(rest))
			_, _ = h.Write(rest[:n])
			rest = rest[n:]
			if at := len(text) - len(rest); at > 0 && h.Partial() != (text[at-1] != '\n') {
				t.Fatalf("at %d: Partial() = %t", at, h.Partial())
			}
		}
		if h.Sum() != whole.Sum() {
			t.Fatalf("seed %d: %s, want %s", seed, h.Sum(), whole.Sum())
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	var h Hasher
	_, _ = h.Write(bytes.Join(lines, nil))
	if h.Sum() != whole.Sum() || h.Sum().Rows != 500 {
		t.Errorf("in another order: %s, want %s", h.Sum(), whole.Sum())
	}
}

func BenchmarkHasher(b *testing.B) {
	text := sample(5000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var h Hasher
		_, _ = h.Write(text)
	}
}
