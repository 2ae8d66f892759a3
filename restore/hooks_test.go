package restore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// A notebook is a Journal in a table of the target.
type notebook struct {
	mu    sync.Mutex
	done  map[string]bool
	asked int
	lose  func(key string) bool // whose transaction is to end with the connection
}

func (n *notebook) Open(ctx context.Context, conn *pgconn.PgConn, _ *restore.Plan) error {
	result := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS notebook; CREATE TABLE IF NOT EXISTS notebook.step (key text PRIMARY KEY); SELECT key FROM notebook.step")
	all, err := result.ReadAll()
	if err != nil {
		return err
	}
	n.done = make(map[string]bool)
	for _, row := range all[len(all)-1].Rows {
		n.done[string(row[0])] = true
	}
	return nil
}

func (n *notebook) Done(s *restore.Step) bool { return n.done[s.Key] }

func (n *notebook) Record(steps []*restore.Step) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var keys []string
	lose := ""
	for _, s := range steps {
		keys = append(keys, "("+quote.Literal(s.Key)+")")
		if n.lose != nil && n.lose(s.Key) {
			lose = "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());"
		}
	}
	return "INSERT INTO notebook.step VALUES " + strings.Join(keys, ", ") + ";" + lose
}

func (n *notebook) Committed(ctx context.Context, conn *pgconn.PgConn, steps []*restore.Step) ([]*restore.Step, error) {
	n.mu.Lock()
	n.asked++
	n.mu.Unlock()
	var done []*restore.Step
	for _, s := range steps {
		result := conn.ExecParams(ctx, "SELECT FROM notebook.step WHERE key = $1", [][]byte{[]byte(s.Key)}, nil, nil, nil).Read()
		if result.Err != nil {
			return nil, result.Err
		}
		if len(result.Rows) > 0 {
			done = append(done, s)
		}
	}
	return done, nil
}

// notes removes the notebook and returns how many notes were in it.
func notes(t *testing.T, s *pgtest.Server, db string) string {
	t.Helper()
	count := s.Text(t, db, "SELECT count(*) FROM notebook.step")
	s.Exec(t, db, "DROP SCHEMA notebook CASCADE")
	return count
}

// Every step is noted, whatever it does, by whatever road it comes, and however
// often connections are lost at the end of its transaction; a second run has
// nothing left to do.
func TestJournalNotesAllSteps(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := kinds(t, s)
	dir := dumpDir(t, s, from)
	p, err := restore.NewPlan(open(t, dir), restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]restore.Options{
		"batches": {Jobs: 3}, "stop": {Jobs: 2, ExitOnError: true}, "single transaction": {SingleTransaction: true},
	} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			n := new(notebook)
			if name == "batches" {
				lost := 0
				n.lose = func(key string) bool {
					if strings.HasPrefix(key, "BLOB") || strings.HasPrefix(key, "TABLE DATA") || strings.HasPrefix(key, "INDEX") {
						lost++
						return lost%2 == 1 && lost < 8
					}
					return false
				}
			}
			opts.Journal = n
			report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), opts)
			if err != nil || !report.Complete() || report.Resumed != 0 {
				t.Fatalf("err = %v, failures %v, %d resumed", err, failures(report), report.Resumed)
			}
			again, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), opts)
			if err != nil || !again.Complete() || again.Restored != 0 || again.Resumed != len(p.Steps) || again.Rows != 0 {
				t.Errorf("err = %v, second run %+v, want %d resumed", err, again, len(p.Steps))
			}
			if got := notes(t, s, to); got != fmt.Sprint(len(p.Steps)) {
				t.Errorf("%s notes of %d steps", got, len(p.Steps))
			}
			same(t, s, from, to)
		})
	}
}

// With a journal, errors are told as without, and what failed is not noted.
func TestJournalErrors(t *testing.T) {
	dir, _ := faulty(t)
	s := pgtest.Start(t, 18)
	var want []string
	for _, n := range []*notebook{nil, {}} {
		to := s.Database(t)
		s.Exec(t, to, "CREATE TABLE exists_already (a int); INSERT INTO exists_already VALUES (7);")
		opts := restore.Options{}
		if n != nil {
			opts.Journal = n
		}
		report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), opts)
		if err != nil {
			t.Fatal(err)
		}
		if n == nil {
			want = failures(report)
			continue
		}
		if d := cmp.Diff(want, failures(report)); d != "" {
			t.Errorf("failures (-without a journal +with one):\n%s", d)
		}
		if got := s.Text(t, to, "SELECT string_agg(key, ',' ORDER BY key) FROM notebook.step WHERE key ~ '^(TABLE public|ACL)'"); got != "TABLE public.late,TABLE public.owned" {
			t.Errorf("noted: %s", got)
		}
	}
	// An unknown outcome that the journal cannot tell ends the run.
	to := s.Database(t)
	n := &brokenNotebook{notebook: notebook{lose: func(string) bool { return true }}}
	if _, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{Journal: n}); !errors.Is(err, errTorn) {
		t.Errorf("err = %v, want that of the journal", err)
	}
}

var errTorn = errors.New("the page is torn out")

type brokenNotebook struct{ notebook }

func (*brokenNotebook) Committed(context.Context, *pgconn.PgConn, []*restore.Step) ([]*restore.Step, error) {
	return nil, errTorn
}
