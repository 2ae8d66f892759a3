package replicate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// workloadTables are plain and partitioned, with and without keys, and what each
// kind of replica identity can have.
const workloadTables = `CREATE TABLE plain (id int PRIMARY KEY, n numeric NOT NULL DEFAULT 0, v text, big text);
CREATE TABLE nokey (w int, a int, b text, j json, f float8); ALTER TABLE nokey REPLICA IDENTITY FULL;
CREATE TABLE uniq (k1 int NOT NULL, v text, k2 text NOT NULL, big text); CREATE UNIQUE INDEX uniq_k ON uniq (k2, k1); ALTER TABLE uniq REPLICA IDENTITY USING INDEX uniq_k;
CREATE TABLE part (id int, region int, v text, big text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2, 3) PARTITION BY RANGE (id);
CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES FROM (MINVALUE) TO (1000100); CREATE TABLE part_2b PARTITION OF part_2 FOR VALUES FROM (1000100) TO (MAXVALUE);
CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, w int, other int GENERATED ALWAYS AS IDENTITY, v text, big text);
CREATE TABLE log (w int, line text);
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL); INSERT INTO account SELECT i, 100 FROM generate_series(0, 39) i;
CREATE TABLE history (w int, seq int, PRIMARY KEY (w, seq));
CREATE TABLE tr_0 (id serial PRIMARY KEY, v text); CREATE TABLE tr_1 (id serial PRIMARY KEY, v text);
CREATE TABLE tr_2 (id serial PRIMARY KEY, v text); CREATE TABLE tr_3 (id serial PRIMARY KEY, v text);
ALTER TABLE plain ALTER big SET STORAGE EXTERNAL; ALTER TABLE uniq ALTER big SET STORAGE EXTERNAL`

// generatedTable is one that servers before 12 cannot have.
const generatedTable = `;CREATE TABLE gen (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text)`

// workloadSessions is how many sessions of the source write at the same time. Each
// has keys and rows of its own, so that none waits for another.
const workloadSessions = 4

// A workload changes the source at random, by a seed. One goroutine drives all of
// its sessions, so that the order of statements is that of the seed.
type workload struct {
	t        *testing.T
	e        *ends
	id       string
	rng      *rand.Rand
	sessions [workloadSessions]*workSession
	gen      bool // there is a table with a generated column
	steps    int
	commits  int
	reopened int
}

type workSession struct {
	w        int
	conn     *pgx.Conn
	open     bool
	ops      int // left in the transaction
	saves    int // savepoints
	seq      int // last committed in history
	prepared string
	wait     int // steps until the prepared transaction ends
}

func newWorkload(t *testing.T, e *ends, seed uint64) *workload {
	t.Helper()
	l := &workload{t: t, e: e, rng: rand.New(rand.NewPCG(seed, 0)), id: newID(), gen: e.source.Major >= 12}
	script := workloadTables
	if l.gen {
		script += generatedTable
	}
	e.source.Exec(t, e.sourceDB, script)
	e.target.Exec(t, e.targetDB, strings.Replace(script, "INSERT INTO account SELECT i, 100 FROM generate_series(0, 39) i;", "", 1))
	for w := range l.sessions {
		l.sessions[w] = &workSession{w: w}
	}
	return l
}

// tables are those to be followed; log publishes inserts only.
func (l *workload) tables() []Table {
	list := []Table{{Schema: "public", Name: "log", InsertsOnly: true}}
	for _, name := range l.names() {
		if name != "log" {
			list = append(list, Table{Schema: "public", Name: name})
		}
	}
	return list
}

func (l *workload) names() []string {
	names := []string{"plain", "nokey", "uniq", "part", "ident", "log", "account", "history", "tr_0", "tr_1", "tr_2", "tr_3"}
	if l.gen {
		names = append(names, "gen")
	}
	return names
}

func (l *workload) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, s := range l.sessions {
		if s.conn != nil {
			s.conn.Close(ctx)
		}
	}
}

// run makes steps until stop is closed, then ends all transactions.
func (l *workload) run(ctx context.Context, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return l.finish(ctx)
		default:
		}
		if err := l.step(ctx); err != nil {
			return err
		}
		if l.steps%5 == 0 { // leave others some of the processor
			if err := pg.Sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// finish ends what is open.
func (l *workload) finish(ctx context.Context) error {
	for _, s := range l.sessions {
		for s.open || s.prepared != "" {
			s.ops, s.wait = 0, 0
			if err := l.advance(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *workload) step(ctx context.Context) error {
	l.steps++
	return l.advance(ctx, l.sessions[l.rng.IntN(workloadSessions)])
}

// advance makes one statement of a session. A lost connection is opened again.
func (l *workload) advance(ctx context.Context, s *workSession) error {
	err := l.do(ctx, s)
	if code := pg.Code(err); code == "55P03" || code == "23505" {
		// Whoever has the lock may wait for another of these sessions; and two rows
		// may have been given the same key.
		s.open = false
		_, err = s.conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
	}
	if err == nil || s.conn != nil && !s.conn.IsClosed() {
		if err != nil {
			return fmt.Errorf("step %d of the workload, session %d: %w", l.steps, s.w, err)
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.conn = nil
	return pg.Sleep(ctx, 20*time.Millisecond)
}

// connect opens the session and finds out what has become of its transaction.
func (l *workload) connect(ctx context.Context, s *workSession) error {
	cfg, err := pgx.ParseConfig(l.e.source.DSN(l.e.sourceDB))
	if err != nil {
		return err
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	cfg.RuntimeParams["lock_timeout"] = "200ms"
	cfg.RuntimeParams["application_name"] = "workload"
	if s.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		s.conn = nil
		return err
	}
	l.reopened++
	s.open, s.saves, s.prepared = false, 0, ""
	name := l.gid(s)
	var there bool
	if err := s.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE gid = $1)", name).Scan(&there); err != nil {
		return err
	}
	if there {
		s.prepared, s.wait = name, 0
		return nil
	}
	return s.conn.QueryRow(ctx, "SELECT coalesce(max(seq), 0) FROM history WHERE w = $1", s.w).Scan(&s.seq)
}

func (l *workload) gid(s *workSession) string { return fmt.Sprintf("%s_%d", l.id, s.w) }

func (l *workload) do(ctx context.Context, s *workSession) error {
	if s.conn == nil {
		return l.connect(ctx, s)
	}
	exec := func(sql string) error {
		_, err := s.conn.PgConn().Exec(ctx, sql).ReadAll()
		return err
	}
	switch {
	case s.prepared != "":
		if s.wait > 0 {
			s.wait--
			return nil
		}
		verb := "COMMIT"
		if l.rng.IntN(3) == 0 {
			verb = "ROLLBACK"
		}
		if err := exec(verb + " PREPARED '" + s.prepared + "'"); err != nil {
			return err
		}
		s.prepared = ""
		return s.conn.QueryRow(ctx, "SELECT coalesce(max(seq), 0) FROM history WHERE w = $1", s.w).Scan(&s.seq)
	case !s.open:
		if err := exec("BEGIN"); err != nil {
			return err
		}
		s.open, s.saves, s.ops = true, 0, 1+l.rng.IntN(12)
		return nil
	case s.ops > 0:
		s.ops--
		switch l.rng.IntN(20) {
		case 0:
			s.saves++
			return exec(fmt.Sprintf("SAVEPOINT s%d", s.saves))
		case 1, 2:
			if s.saves == 0 {
				break
			}
			verb := "ROLLBACK TO"
			if l.rng.IntN(2) == 0 {
				verb = "RELEASE"
			}
			sql := fmt.Sprintf("%s s%d", verb, s.saves)
			s.saves--
			return exec(sql)
		}
		return exec(l.change(s))
	}
	return l.end(ctx, s, exec)
}

// end ends the transaction of a session.
func (l *workload) end(ctx context.Context, s *workSession, exec func(string) error) error {
	n := l.rng.IntN(20)
	if n < 3 {
		s.open = false
		return exec("ROLLBACK")
	}
	if err := exec(fmt.Sprintf("INSERT INTO history VALUES (%d, %d)", s.w, s.seq+1)); err != nil {
		return err
	}
	s.open = false
	if n < 6 {
		if err := exec("PREPARE TRANSACTION '" + l.gid(s) + "'"); err != nil {
			return err
		}
		s.prepared, s.wait = l.gid(s), l.rng.IntN(10)
		return nil
	}
	if err := exec("COMMIT"); err != nil {
		return err
	}
	s.seq++
	l.commits++
	return ctx.Err()
}

// change is a statement on rows of the session.
func (l *workload) change(s *workSession) string {
	r := l.rng
	base := s.w * 1_000_000
	id, to := base+r.IntN(200), base+r.IntN(200)
	big := fmt.Sprintf("repeat('%08x', %d)", r.Uint32(), 300+r.IntN(900))
	text := fmt.Sprintf("%x", r.Uint32())
	region, bucket := 1+r.IntN(3), r.IntN(7)
	one := fmt.Sprintf("(SELECT ctid FROM nokey WHERE w = %d ORDER BY a, b, ctid OFFSET %d LIMIT 1)", s.w, r.IntN(5))
	from, into := s.w*10+r.IntN(10), s.w*10+r.IntN(10)
	kinds := 26
	if !l.gen {
		kinds = 24
	}
	kind := r.IntN(kinds)
	switch kind {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO plain VALUES (%d, %d.50, '%s', %s) ON CONFLICT DO NOTHING", id, r.IntN(100), text, big)
	case 2, 3:
		return fmt.Sprintf("UPDATE plain SET n = n + 1.1 WHERE id BETWEEN %d AND %d", id, id+r.IntN(3)) // big is not touched
	case 4:
		return fmt.Sprintf("UPDATE plain SET big = %s, v = NULL WHERE id = %d", big, id)
	case 5:
		return fmt.Sprintf("UPDATE plain SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM plain WHERE id = %d)", to, id, to)
	case 6:
		return fmt.Sprintf("DELETE FROM plain WHERE id BETWEEN %d AND %d", id, id+r.IntN(3))
	case 7:
		return fmt.Sprintf("INSERT INTO nokey SELECT %d, i %% 3, '%s', '{\"a\": [1,  2.0]}', (ARRAY[0.5, 'NaN', '-0', '0', 1e10, NULL]::float8[])[%d] FROM generate_series(1, %d) i", s.w, text[:1], 1+r.IntN(6), 1+r.IntN(3))
	case 8:
		return "UPDATE nokey SET a = a + 1 WHERE ctid = " + one
	case 9:
		return "DELETE FROM nokey WHERE ctid = " + one
	case 10:
		return fmt.Sprintf("UPDATE nokey SET b = nullif('%s', b) WHERE w = %d AND a = %d", text[:1], s.w, r.IntN(3))
	case 11:
		return fmt.Sprintf("INSERT INTO uniq VALUES (%d, '%s', '%d', %s) ON CONFLICT DO NOTHING", id, text, s.w, big)
	case 12:
		return fmt.Sprintf("UPDATE uniq SET v = v || 'x' WHERE k1 BETWEEN %d AND %d AND k1 %% 7 = %d", base, base+200, bucket)
	case 13:
		return fmt.Sprintf("UPDATE uniq SET k2 = k2 || 'k' WHERE k1 = %d", id) // the key, and big not touched
	case 14:
		return fmt.Sprintf("DELETE FROM uniq WHERE k1 BETWEEN %d AND %d AND k1 %% 7 = %d", base, base+200, bucket)
	case 15:
		return fmt.Sprintf("INSERT INTO part VALUES (%d, %d, '%s', %s) ON CONFLICT DO NOTHING", id, region, text, big)
	case 16:
		if l.e.source.Major < 12 && r.IntN(2) == 0 {
			return fmt.Sprintf("UPDATE part SET v = v || 'p' WHERE id = %d", id)
		}
		return fmt.Sprintf("UPDATE part p SET region = %d, v = v || 'p' WHERE id = %d AND NOT EXISTS (SELECT FROM part q WHERE q.id = p.id AND q.region = %d)", region, id, region)
	case 17:
		return fmt.Sprintf("DELETE FROM part WHERE id BETWEEN %d AND %d", id, id+2)
	case 18:
		return fmt.Sprintf("INSERT INTO ident (w, v, big) SELECT %d, '%s', %s FROM generate_series(1, %d)", s.w, text, big, 1+r.IntN(3))
	case 19:
		set := []string{"v = v || 'i'", "id = DEFAULT", "other = DEFAULT", "id = DEFAULT, v = NULL"}[r.IntN(4)]
		return fmt.Sprintf("UPDATE ident SET %s WHERE ctid = (SELECT ctid FROM ident WHERE w = %d ORDER BY id LIMIT 1)", set, s.w)
	case 20:
		return fmt.Sprintf("INSERT INTO log VALUES (%d, '%s')", s.w, text)
	case 21:
		return fmt.Sprintf("UPDATE account SET balance = balance - 5 WHERE id = %d; UPDATE account SET balance = balance + 5 WHERE id = %d", from, into)
	case 22:
		restart := ""
		if r.IntN(2) == 0 {
			restart = " RESTART IDENTITY"
		}
		return fmt.Sprintf("INSERT INTO tr_%d (v) SELECT '%s' FROM generate_series(1, 5); TRUNCATE tr_%d%s; INSERT INTO tr_%d (v) VALUES ('%s')", s.w, text, s.w, restart, s.w, text)
	case 23:
		if r.IntN(4) > 0 { // a large one, now and then
			return fmt.Sprintf("INSERT INTO tr_%d (v) VALUES ('%s')", s.w, text)
		}
		return fmt.Sprintf("INSERT INTO tr_%d (v) SELECT '%s' FROM generate_series(1, 1500); UPDATE tr_%d SET v = v || id", s.w, text, s.w)
	case 24:
		return fmt.Sprintf("INSERT INTO gen (id, a, b) VALUES (%d, %d, '%s') ON CONFLICT DO NOTHING", id, r.IntN(100), text)
	default:
		return fmt.Sprintf("UPDATE gen SET a = a + 1, id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM gen WHERE id = %d)", to, id, to)
	}
}

// consistent checks what is true after each transaction of the source, and so at
// each moment on the target: the balances add up, and what a session has
// committed is there without a gap.
func (l *workload) consistent(ctx context.Context, conn *pgx.Conn) error {
	var sum, gaps int
	err := conn.QueryRow(ctx, `SELECT (SELECT coalesce(sum(balance), 0) FROM account), (SELECT count(*) FROM (SELECT FROM history GROUP BY w HAVING count(*) <> max(seq)) g)`).Scan(&sum, &gaps)
	if err != nil {
		return err
	}
	if sum != 4000 || gaps != 0 {
		return fmt.Errorf("at some moment the balances on the target added up to %d instead of 4000, and %d sessions had gaps in their history", sum, gaps)
	}
	return nil
}

// check compares both ends when nothing is under way.
func (l *workload) check(t *testing.T) {
	t.Helper()
	for _, name := range l.names() {
		l.e.equal(t, name)
	}
}
