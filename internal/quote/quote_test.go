package quote_test

import (
	"testing"

	"github.com/pghaul/pghaul/internal/quote"
)

func TestIdent(t *testing.T) {
	for in, want := range map[string]string{
		"orders": "orders", "Orders": `"Orders"`, "a b": `"a b"`, `a"b`: `"a""b"`, "1a": `"1a"`, "_a1": "_a1",
		"user": `"user"`, "between": `"between"`, "left": `"left"`, "name": "name", "ü": `"ü"`, "": `""`, "a$": `"a$"`,
	} {
		if got := quote.Ident(in); got != want {
			t.Errorf("Ident(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestDollar(t *testing.T) {
	for in, want := range map[string]string{
		"x":      "$$x$$",
		"a $1 b": "$_$a $1 b$_$",
		"$$":     "$_$$$$_$",
		"$_$":    "$_X$$_$$_X$",
		"":       "$$$$",
	} {
		if got := quote.Dollar(in); got != want {
			t.Errorf("Dollar(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestQualified(t *testing.T) {
	if got, want := quote.Qualified("s", "", "Order"), `s."Order"`; got != want {
		t.Errorf("Qualified = %s, want %s", got, want)
	}
	if got, want := quote.Idents([]string{"a", "B"}), `a, "B"`; got != want {
		t.Errorf("Idents = %s, want %s", got, want)
	}
	if got, want := quote.Literal(`it's \`), `'it''s \'`; got != want {
		t.Errorf("Literal = %s, want %s", got, want)
	}
}
