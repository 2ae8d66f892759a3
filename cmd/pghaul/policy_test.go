package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPairs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pairs")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeff# passwords\n\napp=old\n app = s3=cr#t \n\"App.Reader\"=\"two \"\"quoted\"\" words \"\n\"a=b\" = x\nsvc@contoso.com=\"odd\r\n")
	got, err := readPairs("--passwords", path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"app": "s3=cr#t", "App.Reader": `two "quoted" words `, "a=b": "x", "svc@contoso.com": `"odd`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	// What is written is read back.
	var all strings.Builder
	for name, value := range want {
		all.WriteString(pair(name, value))
	}
	write(all.String())
	if got, err = readPairs("--passwords", path); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v: %s", err, cmp.Diff(want, got))
	}
	for _, text := range []string{"app\n", "=s3cret\n", "app=\n", `"app=s3cret`, `"app"s3cret`} {
		write(text)
		if _, err := readPairs("--passwords", path); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSecretsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new passwords")
	s, err := newSecretsFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file is there before there is a password")
	}
	for _, role := range []string{"app", "a b"} {
		if err := s.add(role, "pass"+role); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	got, err := readPairs("--passwords", path)
	if d := cmp.Diff(map[string]string{"app": "passapp", "a b": "passa b"}, got); err != nil || d != "" {
		t.Errorf("%v -want +got\n%s", err, d)
	}

	// Never over another file; a run that goes on adds to its own.
	if _, err := newSecretsFile(path, false); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("over another file: %v", err)
	}
	if s, err = newSecretsFile(path, true); err != nil {
		t.Fatal(err)
	}
	if err := s.add("app", "another"); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "app=passapp\n\"a b\"=passa b\napp=another\n" {
		t.Errorf("%q", text)
	}
	// It appeared after the check, or it is not secret any more.
	late := filepath.Join(t.TempDir(), "late")
	if s, err = newSecretsFile(late, false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.add("app", "x"); err == nil {
		t.Error("written over a file that has appeared")
	}
	if err := os.Chmod(path, fs.FileMode(0o644)); err != nil {
		t.Fatal(err)
	}
	if s, err = newSecretsFile(path, true); err != nil {
		t.Fatal(err)
	}
	if err := s.add("app", "x"); err == nil {
		t.Error("written to a file that others can read")
	}
}
