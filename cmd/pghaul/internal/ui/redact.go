package ui

import "github.com/pghaul/pghaul/internal/redact"

// Redact blots out what could be a password in a text that a user or a server
// had a hand in. It rather takes too much than too little.
func Redact(s string) string { return redact.Text(s) }
