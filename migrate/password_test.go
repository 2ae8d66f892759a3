package migrate

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
)

func TestPasswords(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		p, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		if len(p) != passwordLength || check(p) != nil || seen[p] {
			t.Errorf("generated %q: %v", p, check(p))
		}
		seen[p] = true
	}
	for _, p := range []string{"", "short-A1", "alllowercase", "md5" + strings.Repeat("0a", 16), "SCRAM-SHA-256$4096:c2FsdA==$a:b"} {
		if check(p) == nil {
			t.Errorf("%q is taken", p)
		}
	}
	for _, p := range []string{"npg-Sim-0001-neon!", "Ünicode passwort 1"} {
		if err := check(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// The verifier is the one by which a server recognises the password.
func TestScram(t *testing.T) {
	text, ok, err := pg.Scram("aB3 'x\\y$")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	head, keys, _ := strings.Cut(strings.TrimPrefix(text, "SCRAM-SHA-256$4096:"), "$")
	stored, server, _ := strings.Cut(keys, ":")
	salt, err := base64.StdEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, "aB3 'x\\y$", salt, 4096, 32)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(s string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	want := sha256.Sum256(mac("Client Key"))
	if stored != base64.StdEncoding.EncodeToString(want[:]) || server != base64.StdEncoding.EncodeToString(mac("Server Key")) {
		t.Errorf("%s", text)
	}
	if _, ok, _ := pg.Scram("pässwort"); ok {
		t.Error("a password that the server would normalise was hashed as it is")
	}
}

func TestMask(t *testing.T) {
	err := mask(errors.Join(errors.New("create"), &pgconn.PgError{Message: "syntax error at 'hunter2hunter2'", Detail: "hunter2hunter2", Code: "42601"}), "hunter2hunter2")
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pe.Code != "42601" || strings.Contains(pe.Message+pe.Detail+err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if err := mask(errors.New("has hunter2hunter2 in it"), "hunter2hunter2"); strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
