package migrate

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgconn"
)

// passwordLength is how many characters a generated password has: 24 of 62 are
// 142 bits.
const passwordLength = 24

const passwordLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// generate makes a password of letters and digits, which needs no quoting in
// any connection string.
func generate() (string, error) {
	for {
		b := make([]byte, passwordLength)
		for i := range b {
			n, err := rand.Int(rand.Reader, big.NewInt(int64(len(passwordLetters))))
			if err != nil {
				return "", fmt.Errorf("generate a password: %w", err)
			}
			b[i] = passwordLetters[n.Int64()]
		}
		if p := string(b); check(p) == nil {
			return p, nil
		}
	}
}

var verifier = regexp.MustCompile(`^(md5[0-9a-f]{32}$|SCRAM-SHA-256\$)`)

// check says what is wrong with a password that platforms would refuse: at
// COMMIT, where no statement is named.
func check(p string) error {
	var lower, upper, digit, other bool
	for _, c := range p {
		switch {
		case unicode.IsLower(c):
			lower = true
		case unicode.IsUpper(c):
			upper = true
		case unicode.IsDigit(c):
			digit = true
		default:
			other = true
		}
	}
	classes := 0
	for _, has := range []bool{lower, upper, digit, other} {
		if has {
			classes++
		}
	}
	switch {
	case verifier.MatchString(p):
		return errors.New("it is the hash of a password, and the password itself is needed")
	case len(p) < 12:
		return errors.New("it is shorter than 12 characters")
	case classes < 3:
		return errors.New("it has not three of lower case letters, upper case letters, digits and other characters")
	case strings.ContainsRune(p, 0):
		return errors.New("it has a zero byte")
	}
	return nil
}

// mask takes a secret out of what a server says of a statement.
func mask(err error, secret string) error {
	if err == nil || secret == "" || !strings.Contains(fmt.Sprintf("%+v", flatten(err)), secret) {
		return err
	}
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return errors.New(strings.ReplaceAll(err.Error(), secret, "***"))
	}
	c := *pe
	for _, text := range []*string{&c.Message, &c.Detail, &c.Hint, &c.Where, &c.InternalQuery} {
		*text = strings.ReplaceAll(*text, secret, "***")
	}
	return &c
}

// flatten makes everything visible that an error may show.
func flatten(err error) any {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return *pe
	}
	return err.Error()
}
