package migrate_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/verify"
)

// Tables that are complete are compared while others get their indexes, and not
// read again at the end, unless somebody has written to them since.
func TestCompareAhead(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]string{"untouched": "SELECT", "written to": "UPDATE small SET v = 'other' WHERE id = 7"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := counting(t)
			from, to := s.Database(t), s.Database(t)
			s.Exec(t, from, `CREATE FUNCTION wait(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
					PERFORM pg_catalog.pg_advisory_lock_shared(42); PERFORM pg_catalog.pg_advisory_unlock_shared(42); RETURN $1; END$$;
				CREATE TABLE small (id int, v text); INSERT INTO small SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
				CREATE TABLE slow (id int); INSERT INTO slow VALUES (1); CREATE INDEX ON slow (wait(id));`)
			holder, err := pgx.ConnectConfig(t.Context(), s.Config(t, to))
			if err != nil {
				t.Fatal(err)
			}
			defer holder.Close(t.Context())
			if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock(42)"); err != nil {
				t.Fatal(err)
			}
			ahead := make(chan struct{})
			go func() { // lets the index be built
				select {
				case <-ahead:
				case <-time.After(time.Minute): // it is not compared ahead, as the report will show
				case <-t.Context().Done():
				}
				if _, err := holder.Exec(t.Context(), write+"; SELECT pg_advisory_unlock(42)"); err != nil {
					t.Error(err)
				}
				holder.Close(t.Context()) // which counts what it has written
			}()
			opts := migrate.Options{Jobs: 2, Logger: slog.New(&lineHook{text: "compared 1 tables ahead", left: 1, do: func() { close(ahead) }})}
			opts.CompareAheadAt(1)
			rep, err := migrate.Run(t.Context(), s.Config(t, from), s.Config(t, to), opts)
			if err != nil {
				t.Fatal(err)
			}
			tables := map[string]verify.Table{}
			for _, x := range rep.Verify.Tables {
				tables[x.Name] = x
			}
			untouched := write == "SELECT"
			if x := tables["small"]; x.Equal != untouched || (x.Earlier != nil) != untouched {
				t.Errorf("table small: %+v", x)
			}
			if x := tables["slow"]; !x.Equal {
				t.Errorf("table slow: %+v", x)
			}
			if rep.Verify.Equal() != untouched {
				t.Errorf("rows are said to be equal: %v", rep.Verify.Equal())
			}
		})
	}
}

// counting returns a server that counts what is written when it is told to.
func counting(t *testing.T) *pgtest.Server {
	t.Helper()
	newest := slices.Max(pgtest.Versions(t))
	if newest < 15 {
		t.Skip("servers before 15 count when they have time")
	}
	return pgtest.Start(t, newest)
}
