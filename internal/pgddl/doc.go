// Package pgddl reads and rewrites the statements that pg_dump and pghaul
// write into the entries of an archive: the tokens, and the parts of a
// statement that a policy has to see or change (roles, owners, extensions,
// locales, UNLOGGED, LEAKPROOF, …).
//
// It is strict: a statement whose shape is not one that a dump holds is an
// [ErrShape], and the caller decides whether passing it on untouched is
// harmless. Statements are taken with or without their final semicolon; String
// writes them without it, in pg_dump's own words and spacing, so that what was
// not changed compares equal.
//
// Texts are read with standard_conforming_strings on. The few that pg_dump
// wrote with it off have the same tokens, since it always doubles quotes; only
// backslashes within their strings would be read as two.
package pgddl

import (
	"errors"
	"fmt"
)

// ErrShape says that a text is not SQL of a shape that this package knows.
var ErrShape = errors.New("statement of an unknown shape")

// shape makes an ErrShape. It names the place, not the text there, which may
// hold a secret.
func shape(at int, want string) error {
	return fmt.Errorf("%w: want %s at byte %d", ErrShape, want, at)
}
