package redact

import (
	"strings"
	"testing"
)

func TestSQL(t *testing.T) {
	const secret = "s3cr3t"
	for _, sql := range []string{
		`CREATE ROLE r LOGIN PASSWORD 's3cr3t'`,
		`CREATE ROLE r LOGIN ENCRYPTED PASSWORD E'it''s\' s3cr3t' VALID UNTIL 'infinity'`,
		`ALTER ROLE r PASSWORD $x$s3cr3t$x$`,
		"ALTER ROLE r PASSWORD /* a comment */ -- and another\n's3cr3t'",
		`alter user "r" with password U&'s3cr3t'`,
		`CREATE USER MAPPING FOR app SERVER s OPTIONS ("user" 'app', password 's3cr3t')`,
		`ALTER USER MAPPING FOR app SERVER s OPTIONS (SET password 's3cr3t')`,
		`CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', sslpassword 's3cr3t')`,
		`CREATE SUBSCRIPTION s CONNECTION 'host=h user=u password=s3cr3t' PUBLICATION p`,
		`ALTER SUBSCRIPTION s CONNECTION 'postgres://u:s3cr3t@h/d'`,
		`CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT dblink('host=h password=s3cr3t') $$`,
		`CREATE VIEW v AS SELECT * FROM dblink('postgresql://u:s3cr3t@h/d', 'SELECT 1') AS t(a int)`,
		`DO $do$ BEGIN CREATE ROLE r PASSWORD 's3cr3t'; END $do$`,
		`SET app.api_key = 's3cr3t'`,
		`SELECT 1; ALTER ROLE r PASSWORD 's3cr3t`, // cut off
	} {
		got := SQL(sql)
		if strings.Contains(got, secret) {
			t.Errorf("%s\n  still has the secret: %s", sql, got)
		}
		if !strings.Contains(got, Mask) {
			t.Errorf("%s\n  has no mask: %s", sql, got)
		}
	}
}

// What is no secret stays as it is: the log must tell what was done.
func TestSQLKeeps(t *testing.T) {
	for _, sql := range []string{
		`ALTER ROLE r PASSWORD NULL`,
		`CREATE ROLE r CONNECTION LIMIT 5 VALID UNTIL '2030-01-01'`,
		`CREATE TABLE t (password text DEFAULT 'x', "a ""b" int)`,
		`COMMENT ON COLUMN t.password IS 'a hash'`,
		`SELECT '--', '/*', 'it''s', E'\'', $$ ' $$ -- the end`,
		`/* a /* nested */ comment */ SELECT $1, a$b FROM t`,
	} {
		if got := SQL(sql); got != sql {
			t.Errorf("got  %s\nwant %s", got, sql)
		}
	}
}

func FuzzSQL(f *testing.F) {
	f.Add(`CREATE ROLE r PASSWORD 'x' /* $$ ' " */`)
	f.Add(`$a$ ' $a$ "`)
	f.Fuzz(func(t *testing.T, s string) {
		at := 0
		for at < len(s) {
			_, end := next(s, at)
			if end <= at || end > len(s) {
				t.Fatalf("token at %d of %q ends at %d", at, s, end)
			}
			at = end
		}
		SQL(s)
	})
}
