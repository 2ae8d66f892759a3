package pgddl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgddl"
)

func TestTokens(t *testing.T) {
	type kv struct {
		Kind  pgddl.Kind
		Value string
	}
	for sql, want := range map[string][]kv{
		"":                     nil,
		" \t\r\n\f\v-- x":      nil,
		"/* a /* b */ c */ X":  {{pgddl.Word, "x"}},
		`SeLect "A""b" ÄB a$1`: {{pgddl.Word, "select"}, {pgddl.Quoted, `A"b`}, {pgddl.Word, "Äb"}, {pgddl.Word, "a$1"}},
		`'it''s \' E'a\'b\\\n\101\x41\u00e4\U0001F600\q'`: {{pgddl.String, `it's \`}, {pgddl.String, "a'b\\\nAAä😀q"}},
		"'a'\n  'b' 'c'":               {{pgddl.String, "ab"}, {pgddl.String, "c"}},
		"$$a$b$$ $x$$$;'$x$ $1":        {{pgddl.String, "a$b"}, {pgddl.String, "$$;'"}, {pgddl.Param, "$1"}},
		"B'01' x'1F' n'a' b":           {{pgddl.String, "01"}, {pgddl.String, "1F"}, {pgddl.String, "a"}, {pgddl.Word, "b"}},
		"1 1.5 .5 1e+10 0x1F 1_000 2.": {{pgddl.Number, "1"}, {pgddl.Number, "1.5"}, {pgddl.Number, ".5"}, {pgddl.Number, "1e+10"}, {pgddl.Number, "0x1F"}, {pgddl.Number, "1_000"}, {pgddl.Number, "2."}},
		"1..10":                        {{pgddl.Number, "1"}, {pgddl.Punct, ".."}, {pgddl.Number, "10"}},
		"a<-1":                         {{pgddl.Word, "a"}, {pgddl.Op, "<"}, {pgddl.Op, "-"}, {pgddl.Number, "1"}},
		"a@-1":                         {{pgddl.Word, "a"}, {pgddl.Op, "@-"}, {pgddl.Number, "1"}},
		"a+--b\n*/*c*/b":               {{pgddl.Word, "a"}, {pgddl.Op, "+"}, {pgddl.Op, "*"}, {pgddl.Word, "b"}},
		"a::b:=c[1:2];(,)s.t":          {{pgddl.Word, "a"}, {pgddl.Punct, "::"}, {pgddl.Word, "b"}, {pgddl.Punct, ":="}, {pgddl.Word, "c"}, {pgddl.Punct, "["}, {pgddl.Number, "1"}, {pgddl.Punct, ":"}, {pgddl.Number, "2"}, {pgddl.Punct, "]"}, {pgddl.Punct, ";"}, {pgddl.Punct, "("}, {pgddl.Punct, ","}, {pgddl.Punct, ")"}, {pgddl.Word, "s"}, {pgddl.Punct, "."}, {pgddl.Word, "t"}},
	} {
		tokens, err := pgddl.Tokens(sql)
		if err != nil {
			t.Errorf("%q: %v", sql, err)
			continue
		}
		var got []kv
		for _, k := range tokens {
			got = append(got, kv{k.Kind, k.Value})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", sql, d)
		}
	}
	for _, sql := range []string{"'a", "E'a\\'", `"a`, `""`, "$$a", "$x$a$$", "$", "$a b$", "/* /* */", "\x00", `\d`, "{", "U&'a'", `u&"a"`, `E'\u12'`, `E'\UFFFFFFFF'`, "E'\\"} {
		if tokens, err := pgddl.Tokens(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%q: %v, %v; want ErrShape", sql, tokens, err)
		}
	}
}

func TestSplit(t *testing.T) {
	for sql, want := range map[string][]string{
		"": nil,
		"-- *not* creating schema, since initdb creates it\n": nil,
		"; a ;; b -- c\n ; d":                                          {"a", "b", "d"},
		"a ';' \";\" $$;$$ /*;*/ b; c":                                 {"a ';' \";\" $$;$$ /*;*/ b", "c"},
		"CREATE RULE r AS ON INSERT TO t DO ( SELECT 1; SELECT 2 ); x": {"CREATE RULE r AS ON INSERT TO t DO ( SELECT 1; SELECT 2 )", "x"},
		"CREATE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END; ALTER x": {
			"CREATE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END", "ALTER x",
		},
	} {
		got, err := pgddl.Split(sql)
		if err != nil {
			t.Errorf("%q: %v", sql, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", sql, d)
		}
	}
	for _, sql := range []string{"a (b;", "a ) b", "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;"} {
		if _, err := pgddl.Split(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%q: %v, want ErrShape", sql, err)
		}
	}
}

func TestNames(t *testing.T) {
	parts, rest, err := pgddl.Names(`public."T.x"(integer, text)`)
	if want := []string{"public", "T.x"}; err != nil || !cmp.Equal(parts, want) || rest != "(integer, text)" {
		t.Errorf("%q %q %v", parts, rest, err)
	}
	for _, text := range []string{"", "(a)", "a.", "'x'", "select"} {
		if parts, _, err := pgddl.Names(text); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%q: %q, %v; want ErrShape", text, parts, err)
		}
	}
}

// TestErrorsHoldNoText is about secrets in what cannot be read.
func TestErrorsHoldNoText(t *testing.T) {
	_, err := pgddl.ParseUserMapping("CREATE USER MAPPING FOR x SERVER s OPTIONS (password 'hunter2' 'hunter2')")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}
