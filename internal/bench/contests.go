//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A contender is one way to do a piece of work.
type contender struct {
	name    string
	args    []string
	env     []string
	prepare func(context.Context) error // before each run, not timed
	output  string                      // what it makes, removed before each run
}

// A contest is one piece of work done by two.
type contest struct {
	name         string
	rounds       int
	goal         float64 // ratio of wall time that is aimed at; 0 is none
	ours, theirs contender
	needs        func(context.Context) error // data; nil is none
}

// once makes what several contests need when the first of them is held.
func once(do func(context.Context) error) func(context.Context) error {
	var o sync.Once
	var err error
	return func(ctx context.Context) error {
		o.Do(func() { err = do(ctx) })
		return err
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.work, name) }

// dump returns two contenders that dump a database.
func (b *bench) dump(database string, ours, theirs []string) (o, t contender) {
	j := "-j" + strconv.Itoa(b.jobs)
	o = contender{name: "pghaul dump", output: b.path("ours"), args: append(append([]string{b.pghaul, "dump", "--progress", "none", "-Fd", j, "-f", b.path("ours")}, ours...), database)}
	t = contender{name: "pg_dump", output: b.path("theirs"), args: append(append([]string{b.program("pg_dump"), "-Fd", j, "-f", b.path("theirs")}, theirs...), database)}
	return o, t
}

// near are the contests on large tables.
func (b *bench) near() []contest {
	load := once(func(ctx context.Context) error {
		text, err := os.ReadFile(b.data)
		if err != nil {
			return err
		}
		fmt.Printf("loading the data at scale %g\n", b.scale)
		return b.script(ctx, "bench", string(text), "-v", fmt.Sprintf("scale=%g", b.scale))
	})
	archive := once(func(ctx context.Context) error {
		if err := load(ctx); err != nil {
			return err
		}
		return b.quiet(ctx, b.pghaul, "dump", "-Fd", "-f", b.path("archive"), "bench")
	})
	var out []contest
	add := func(c contest) {
		c.rounds = b.rounds
		if c.needs == nil {
			c.needs = load
		}
		out = append(out, c)
	}
	zstd := []string{"-Z", "zstd:1"}
	o, t := b.dump("bench", nil, zstd)
	add(contest{name: "dump, zstd", goal: 0.85, ours: o, theirs: t})
	o, t = b.dump("bench", []string{"-Z", "lz4"}, []string{"-Z", "lz4"})
	add(contest{name: "dump, lz4", ours: o, theirs: t})
	o, t = b.dump("bench", nil, nil)
	add(contest{name: "dump, pg_dump's default (gzip)", ours: o, theirs: t})
	one := []string{"-t", "pgbench_accounts"}
	o, t = b.dump("bench", one, append(zstd, one...))
	add(contest{name: "dump, one table", goal: 0.65, ours: o, theirs: t})
	o, _ = b.dump("bench", nil, nil)
	self, _ := os.Executable()
	add(contest{name: "dump, against COPY thrown away", goal: 1.35, ours: o, theirs: contender{name: "COPY", args: []string{self, "discard", url("bench"), strconv.Itoa(b.jobs)}}})

	j := strconv.Itoa(b.jobs)
	restored := contender{name: "pg_restore", args: []string{b.program("pg_restore"), "-j", j, "-d", "copy", b.path("archive")}, prepare: b.emptyCopy}
	add(contest{
		name: "restore", goal: 0.75, needs: archive, theirs: restored,
		ours: contender{name: "pghaul restore", args: []string{b.pghaul, "restore", "--progress", "none", "-j", j, "-d", "copy", b.path("archive")}, prepare: b.emptyCopy},
	})

	if b.verb(context.Background(), "migrate") {
		migrate := contender{name: "pghaul migrate", prepare: b.emptyCopy, args: []string{b.pghaul, "migrate", "--progress", "none", "-j", j, "--no-verify", "--source", url("bench"), "--target", url("copy")}}
		both := fmt.Sprintf("%s -Fd -Z zstd:1 -j %s -f %s bench && %s -j %[2]s -d copy %[3]s", b.program("pg_dump"), j, b.path("theirs"), b.program("pg_restore"))
		add(contest{
			name: "migrate, against pg_dump and pg_restore", goal: 0.60, ours: migrate,
			theirs: contender{name: "pg_dump, pg_restore", output: b.path("theirs"), prepare: b.emptyCopy, args: []string{"sh", "-c", both}},
		})
		if b.has("pgcopydb") {
			add(contest{
				name: "migrate, against pgcopydb", goal: 0.75, ours: migrate,
				theirs: contender{
					name: "pgcopydb clone", output: b.path("copydb"), prepare: b.emptyCopy,
					args: []string{b.program("pgcopydb"), "clone", "--dir", b.path("copydb"), "--table-jobs", j, "--index-jobs", j, "--source", url("bench"), "--target", url("copy")},
				},
			})
		}
	}
	return out
}

// many are the contests on many tables.
func (b *bench) many() []contest {
	o, t := b.dump("many", []string{"-s"}, []string{"-s"})
	return []contest{{name: fmt.Sprintf("dump -s, %d tables", b.tables), rounds: b.rounds, goal: 0.80, ours: o, theirs: t, needs: once(func(ctx context.Context) error {
		fmt.Printf("making %d tables\n", b.tables)
		return b.script(ctx, "many", tables(b.tables))
	})}}
}

// distant are the contests through the proxy.
func (b *bench) distant() []contest {
	load := once(func(ctx context.Context) error {
		if err := b.script(ctx, "mixed", mixed(b.objects)); err != nil {
			return err
		}
		if err := b.quiet(ctx, b.pghaul, "dump", "-Fd", "-s", "-f", b.path("schema"), "mixed"); err != nil {
			return err
		}
		return b.quiet(ctx, b.pghaul, "dump", "-Fd", "-f", b.path("mixed"), "mixed")
	})
	far := func(c contender) contender {
		c.env = []string{"PGHOST=127.0.0.1", "PGPORT=" + strconv.Itoa(b.farPort)}
		return c
	}
	at := fmt.Sprintf(", %v away", 2*b.delay)
	o, t := b.dump("mixed", []string{"-s"}, []string{"-s"})
	out := []contest{{name: "dump -s" + at, goal: 0.10, ours: far(o), theirs: far(t)}}
	o, t = b.dump("mixed", nil, nil)
	out = append(out, contest{name: "dump of small tables" + at, ours: far(o), theirs: far(t)})
	for _, r := range []struct {
		name, archive string
		goal          float64
	}{{"restore -s", "schema", 0.05}, {"restore of small tables", "mixed", 0.10}} {
		args := []string{"-j", strconv.Itoa(b.jobs), "-d", "copy", b.path(r.archive)}
		out = append(out, contest{
			name: r.name + at, goal: r.goal,
			ours:   far(contender{name: "pghaul restore", prepare: b.emptyCopy, args: append([]string{b.pghaul, "restore", "--progress", "none"}, args...)}),
			theirs: far(contender{name: "pg_restore", prepare: b.emptyCopy, args: append([]string{b.program("pg_restore")}, args...)}),
		})
	}
	for i := range out {
		out[i].rounds, out[i].needs = b.far, load
	}
	return out
}

// tables returns a script that makes n tables.
func tables(n int) string {
	return fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
EXECUTE format('CREATE TABLE t%%s (id int PRIMARY KEY, a text NOT NULL, b numeric DEFAULT 0, c timestamptz)', i);
EXECUTE format('COMMENT ON COLUMN t%%s.a IS ''column of %%s''', i, i);
IF i %% 200 = 0 THEN COMMIT; END IF;
END LOOP; END $$;
`, n)
}

// mixed returns a script that makes n tables, each with a key, an index and a
// comment, and some of the other kinds.
func mixed(n int) string {
	var s strings.Builder
	s.WriteString("CREATE TYPE mood AS ENUM ('sad', 'happy');\n")
	for i := range n {
		fmt.Fprintf(&s, "CREATE TABLE t%d (id int PRIMARY KEY, v text, m mood);\nINSERT INTO t%[1]d SELECT g, 'row ' || g FROM generate_series(1, 10) g;\n", i)
		fmt.Fprintf(&s, "CREATE INDEX ON t%d (v);\nCOMMENT ON TABLE t%[1]d IS 'table %[1]d';\n", i)
		if i%2 == 0 {
			fmt.Fprintf(&s, "CREATE VIEW v%d AS SELECT id FROM t%[1]d;\nCREATE SEQUENCE s%[1]d;\nCREATE FUNCTION f%[1]d(int) RETURNS int LANGUAGE sql RETURN $1 + %[1]d;\nGRANT SELECT ON t%[1]d TO PUBLIC;\n", i)
		}
	}
	return s.String()
}
