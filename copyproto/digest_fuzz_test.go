package copyproto_test

import (
	"testing"

	"github.com/pghaul/pghaul/copyproto"
)

// FuzzParseDigest reads the digests of manifests: what it takes is written again
// as the same digest.
func FuzzParseDigest(f *testing.F) {
	f.Add("3-0123456789abcdef-fedcba9876543210")
	f.Add("-1-0-0")
	f.Add("1-2")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := copyproto.ParseDigest(s)
		if err != nil {
			return
		}
		if again, err := copyproto.ParseDigest(d.String()); err != nil || again != d {
			t.Errorf("%q is %v, and written again %v, %v", s, d, again, err)
		}
	})
}
