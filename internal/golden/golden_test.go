package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A recorder takes the failures that Check reports.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.said += format }

func (r *recorder) Fatalf(format string, args ...any) { r.said += format }

func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	const name = "view/want.sql"
	if err := flag.Set("update", "true"); err != nil {
		t.Fatal(err)
	}
	Check(t, name, "one\ntwo\n")
	if err := flag.Set("update", "false"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "view", "want.sql"))
	if err != nil || string(text) != "one\ntwo\n" {
		t.Fatalf("-update wrote %q (%v)", text, err)
	}
	Check(t, name, "one\ntwo\n")

	r := &recorder{TB: t}
	Check(r, name, "one\nthree\n")
	if !strings.Contains(r.said, "differs") {
		t.Errorf("another text: Check said %q", r.said)
	}
}
