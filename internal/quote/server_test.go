package quote_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/quote"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// FuzzServer sends quoted names, values and bodies through a server, which must
// give back what was quoted.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"orders", "Order", "a b", `a"b`, `""`, "user", "select", "ü", "1a", "a$b", "$$", "$_$", "$_X$", "it's", `back\slash`, "new\nline", "a--b", "/*", ";", "", "ſ", "İ",
		"$_XXXXXXX$", "_", "U&", `\.`, "between", "\u2028", "a.b",
	} {
		f.Add(s)
	}
	s := pgtest.Start(f, 18)
	conn := s.Conn(f, "postgres")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			t.Skip("no server stores it")
		}
		sql := "SELECT " + quote.Literal(text) + ", " + quote.Dollar(text)
		named := text != "" && len(text) < 64 // longer names are cut by the server
		if named {
			sql += ", 1 AS " + quote.Ident(text)
		}
		rows, err := conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		defer rows.Close()
		if !rows.Next() {
			t.Fatalf("%s: no row: %v", sql, rows.Err())
		}
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		if values[0] != text || values[1] != text {
			t.Errorf("%s gives %q and %q, want %q", sql, values[0], values[1], text)
		}
		if got := rows.FieldDescriptions(); named && got[2].Name != text {
			t.Errorf("%s names %q, want %q", sql, got[2].Name, text)
		}
		if strings.ContainsAny(quote.Comment(text), "\r\n") {
			t.Errorf("Comment(%q) spans lines", text)
		}
	})
}
