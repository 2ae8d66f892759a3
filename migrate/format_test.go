package migrate_test

import (
	"strings"
	"testing"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
)

// Rows travel in the format that is asked for and possible, and are compared in
// it; by themselves in the binary format between servers of one version.
func TestCopyFormat(t *testing.T) {
	majors := pgtest.Versions(t)
	s := ranged(t)
	from := s.Database(t)
	s.Exec(t, from, `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);
CREATE TABLE many (id int PRIMARY KEY, m mood, at timestamptz, x jsonb, a text[]);
INSERT INTO many SELECT i, 'ok', timestamptz '2024-01-01' + i * interval '1 hour', jsonb_build_object('i', i), ARRAY[i::text, NULL] FROM generate_series(1, 5000) i;
CREATE TABLE odd (p pair, c regclass); INSERT INTO odd VALUES ('(1,x)', 'many');
CREATE TABLE h (m mood, i int) PARTITION BY HASH (m);
CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO h VALUES ('sad', 1), ('ok', 2), ('ok', 3)`)
	for _, f := range []copyproto.Format{"", migrate.AutoFormat, copyproto.Text, copyproto.Binary} {
		t.Run("format "+string(f), func(t *testing.T) {
			to := s.Database(t)
			r, err := migrate.Run(t.Context(), s.Config(t, from), s.Config(t, to), migrate.Options{CopyFormat: f, PartSize: 64 << 10})
			if err != nil || !r.Complete || r.Rows != 5004 || !r.Verify.Equal() {
				t.Fatalf("%+v, %v", r, err)
			}
			for _, x := range r.Verify.Tables {
				if x.CountOnly != "" {
					t.Errorf("%s was only counted: %s", x.Name, x.CountOnly)
				}
				// Digests of the two formats are different.
				if same := x.Name == "many" && x.Source.String() == textDigest(t, s, from); x.Name == "many" && same != (f == copyproto.Text) {
					t.Errorf("%s travelled as text: %v", x.Name, same)
				}
			}
			if told := len(r.AsText) == 1 && r.AsText[0].Name == "odd" && strings.Contains(r.AsText[0].Reason, "pair"); told != (f == copyproto.Binary) {
				t.Errorf("as text: %+v", r.AsText)
			}
		})
	}
	if s.Major == majors[0] {
		return
	}
	other := pgtest.Start(t, majors[0])
	to := other.Database(t)
	_, err := migrate.Run(t.Context(), s.Config(t, from), other.Config(t, to), migrate.Options{CopyFormat: copyproto.Binary})
	if err == nil || !strings.Contains(err.Error(), "same major version") {
		t.Errorf("to another version in the binary format: %v", err)
	}
	if r, err := migrate.Run(t.Context(), s.Config(t, from), other.Config(t, to), migrate.Options{}); err != nil || !r.Complete {
		t.Errorf("to another version: %+v, %v", r, err)
	}
}

// textDigest is the digest of table many in the text format.
func textDigest(t *testing.T, s *pgtest.Server, db string) string {
	t.Helper()
	h := copyproto.Hasher{}
	conn := s.Conn(t, db)
	if _, err := conn.PgConn().Exec(t.Context(), "SET timezone = 'UTC'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().CopyTo(t.Context(), &h, "COPY many TO STDOUT"); err != nil {
		t.Fatal(err)
	}
	return h.Sum().String()
}
