package dump_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestLimits moves what is as large as it may be: 1,600 columns, names of 63
// bytes, of characters of several bytes, and an index on each name.
func TestLimits(t *testing.T) {
	t.Parallel()
	majors := pgtest.Versions(t)
	s := pgtest.Start(t, majors[len(majors)-1])
	db := s.Database(t)
	name := strings.Repeat("ü", 31) + "x"
	s.Exec(t, db, `DO $$ BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg(format('c%s int', i), ', ') FROM generate_series(1, 1600) i) || ')';
EXECUTE 'INSERT INTO wide SELECT ' || (SELECT string_agg(i::text, ', ') FROM generate_series(1, 1600) i) || ' FROM generate_series(1, 3)'; END $$;
CREATE SCHEMA "s`+name[2:]+`"; CREATE TABLE "s`+name[2:]+`"."`+name+`" ("`+name+`" text PRIMARY KEY, b int);
INSERT INTO "s`+name[2:]+`"."`+name+`" VALUES ('v', 1); CREATE INDEX "i`+name[2:]+`" ON "s`+name[2:]+`"."`+name+`" (b)`)
	copied := s.DatabaseFrom(t, "template0")
	restoreInto(t, s, copied, haul(t, s, db, dump.Options{}))
	sameContents(t, s, db, s, copied)
	for query, want := range map[string]string{
		"SELECT c1 + c1600 FROM wide LIMIT 1":                                                "1601",
		`SELECT "` + name + `" FROM "s` + name[2:] + `"."` + name + `"`:                      "v",
		`SELECT count(*) FROM pg_indexes WHERE indexname = 'i` + name[2:] + `'`:              "1",
		`SELECT octet_length(relname) FROM pg_class WHERE relname = '` + name + `'`:          "63",
		"SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0": "1600",
	} {
		if got := s.Text(t, copied, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestEncodings moves databases whose encoding is not UTF-8, with bytes that no
// encoding has a character for, and keeps every byte.
func TestEncodings(t *testing.T) {
	t.Parallel()
	majors := pgtest.Versions(t)
	s := pgtest.Start(t, majors[len(majors)-1])
	for encoding, bytes := range map[string]string{"SQL_ASCII": "ff00e9c38081fe", "LATIN1": "e9a0ff", "WIN1252": "8190e9", "EUC_JP": "a4a2b0a1", "MULE_INTERNAL": "81e9"} {
		bytes = strings.ReplaceAll(bytes, "00", "01") // which no text has
		made := func(suffix string) string {
			db := "encoding_" + strings.ToLower(encoding) + suffix
			s.Exec(t, "postgres", "CREATE DATABASE "+db+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
			t.Cleanup(func() {
				if err := s.Server.Exec(context.Background(), "postgres", "DROP DATABASE "+db+" WITH (FORCE)"); err != nil {
					t.Error(err)
				}
			})
			return db
		}
		db, copied := made("_source"), made("_copy")
		text := "convert_from('\\x" + bytes + "', '" + encoding + "')"
		s.Exec(t, db, "CREATE TABLE t (x text); INSERT INTO t SELECT "+text+"; COMMENT ON TABLE t IS 'plain'")
		restoreInto(t, s, copied, haul(t, s, db, dump.Options{}))
		if got := s.Text(t, copied, "SELECT encode(textsend(x), 'hex') || obj_description('t'::regclass) FROM t"); got != bytes+"plain" {
			// textsend converts to the encoding of the session.
			if got = s.Text(t, copied, "SELECT encode(convert_to(x, '"+encoding+"'), 'hex') FROM t"); got != bytes {
				t.Errorf("%s: %s, want %s", encoding, got, bytes)
			}
		}
	}
}
