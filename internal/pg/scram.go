package pg

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Scram makes the verifier that a server stores of a password, so that it never
// sees, and never logs, the password itself. ok is false for passwords that the
// server would normalise first, which are those with other characters than the
// printable ones of ASCII.
func Scram(password string) (text string, ok bool, err error) {
	for _, c := range password {
		if c < ' ' || c > '~' {
			return "", false, nil
		}
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	const iterations = 4096
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", false, fmt.Errorf("hash a password: %w", err)
	}
	sign := func(text string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(sign("Server Key"))), true, nil
}
