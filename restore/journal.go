package restore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
)

// JournalSchema is the schema of the target that holds the journal of a run
// under way. It is dropped when the run has come to its end.
const JournalSchema = "pghaul"

// JournalOptions say what a journal is of.
type JournalOptions struct {
	// Verb is "restore" or "migrate"; "" means "restore".
	Verb string
	// Tool names the program; "" means "pghaul".
	Tool string
	// Source is the fingerprint of what is restored: a run is not gone on with from
	// another source.
	Source string
	// Details is a text of the caller's that is kept with the run.
	Details string
	// Resume goes on with the run whose journal is there, and fails if there is
	// none. Discard forgets it, and with it what it has made: all of that stays.
	// Without either, an unfinished run is an *UnfinishedError.
	Resume, Discard bool
	// Any takes up the run that is there, of whatever verb and source, to undo it.
	Any bool
	// Role is set with SET ROLE, as in Options.
	Role string
	// Phase says which phase a step belongs to; nil has those of StepPhase.
	Phase func(*Step) string
	// Again has steps done again that an earlier run has done, such as setting
	// sequences from a source that has moved on; nil leaves out all that are done.
	Again func(*Step) bool
	// Logger hears what happens; nil discards.
	Logger *slog.Logger
}

// A JournalRun is the run that a journal is of.
type JournalRun struct {
	ID          string
	Verb, Tool  string
	Source      string
	Application string // application_name of its sessions
	Started     time.Time
	Details     string
}

// An UnfinishedError says that the target has the journal of a run that has not
// come to its end.
type UnfinishedError struct{ Run JournalRun }

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("the target has the journal of a %s of %s that was not finished: go on with it (--resume), undo it (pghaul rollback), or forget it and keep what it made (--discard-journal)",
		e.Run.Verb, e.Run.Started.UTC().Format("2006-01-02 15:04:05 MST"))
}

// A JournalError says that the target refuses to keep a journal. Err unwraps to
// the server's error.
type JournalError struct{ Err error }

func (e *JournalError) Error() string {
	return fmt.Sprintf("cannot keep a journal in schema %s of the target, which takes the right to create schemas in the database: %v", JournalSchema, e.Err)
}

// Unwrap returns the cause.
func (e *JournalError) Unwrap() error { return e.Err }

// ErrNoJournal says that there is no run to go on with or to undo.
var ErrNoJournal = errors.New("the target has no journal of an unfinished run")

// A TargetJournal is a Journal in tables of the target. It holds a connection
// of its own, and with it a lock by which two runs cannot work on one database.
type TargetJournal struct {
	target *pgx.ConnConfig
	opts   JournalOptions
	log    *slog.Logger
	app    string

	mu      sync.Mutex
	conn    *pgx.Conn // nil before Start and after Close
	run     JournalRun
	resumed bool
	steps   map[string]recorded
	void    int             // the number of the newest void, see Committed
	voids   map[string]bool // keys that are void

	extensions []string // that have steps of their own
}

// recorded is what the journal has about a step.
type recorded struct{ phase, hash string }

// NewJournal makes a journal in the target database, which Start or Run opens.
// The caller ends it with Finish or Close.
func NewJournal(target *pgx.ConnConfig, opts JournalOptions) *TargetJournal {
	if opts.Verb == "" {
		opts.Verb = "restore"
	}
	if opts.Tool == "" {
		opts.Tool = "pghaul"
	}
	if opts.Phase == nil {
		opts.Phase = StepPhase
	}
	j := &TargetJournal{opts: opts, log: opts.Logger, steps: make(map[string]recorded), voids: make(map[string]bool), extensions: []string{""}}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	j.run.ID = strings.ToLower(rand.Text()[:12])
	j.app = "pghaul " + opts.Verb + " " + strings.ToLower(rand.Text()[:12])
	j.target = target.Copy()
	j.target.RuntimeParams["application_name"] = j.app
	return j
}

// Target is the configuration to give to Run: its sessions bear the name by
// which they are found if the run is killed.
func (j *TargetJournal) Target() *pgx.ConnConfig { return j.target }

// Run is the run that the journal is of.
func (j *TargetJournal) Run() JournalRun { return j.run }

// Resumed says whether the journal is that of an earlier run.
func (j *TargetJournal) Resumed() bool { return j.resumed }

// StepPhase says which phase a step belongs to: "schema-data" or "post-schema".
func StepPhase(s *Step) string {
	switch s.Stage {
	case StageDrop, StageCreate, StagePreData, StageData:
		return "schema-data"
	case StagePostData, StagePrivileges, StageRefresh:
	}
	return "post-schema"
}

// Fingerprint tells sources apart: by where and when they were made, and by
// their entries.
func Fingerprint(src Source) string {
	var h strings.Builder
	header := src.Header()
	fmt.Fprintf(&h, "%s\x00%s\x00%s\x00", header.Database, header.ServerVersion, header.Created.UTC().Format(time.RFC3339))
	entries := src.Entries()
	for i := range entries {
		e := &entries[i]
		fmt.Fprintf(&h, "%d\x00%s\x00%s\x00%s\x00%s\x00%s\x00", e.ID, e.Kind, e.Namespace, e.Tag, e.Create, e.Copy)
	}
	if m := src.Manifest(); m != nil {
		for _, t := range m.Tables {
			fmt.Fprintf(&h, "%d\x00%d\x00%s\x00", t.Entry, t.Rows, t.Digest)
		}
	}
	sum := sha256.Sum256([]byte(h.String()))
	return hex.EncodeToString(sum[:16])
}

// Open implements Journal. With a plan that does not agree with what the
// journal says is done, it fails.
func (j *TargetJournal) Open(ctx context.Context, conn *pgconn.PgConn, plan *Plan) error {
	if plan.Database != "" && j.conn == nil {
		j.target = j.target.Copy()
		j.target.Database = plan.Database
	}
	if err := j.Start(ctx); err != nil {
		return err
	}
	j.extensions = []string{""}
	for i := range plan.Steps {
		if e := plan.Steps[i].Entry; e.Kind == "EXTENSION" {
			j.extensions = append(j.extensions, e.Tag)
		}
	}
	if !j.resumed {
		return nil
	}
	return j.agree(plan)
}

// agree fails if a step that is done is not in the plan, or is another one there.
func (j *TargetJournal) agree(plan *Plan) error {
	hashes := make(map[string]string)
	phases := make(map[string]bool)
	for i := range plan.Steps {
		s := &plan.Steps[i]
		hashes[s.Key] = hash(s)
		phases[j.opts.Phase(s)] = true
	}
	var changed []string
	for key, r := range j.steps {
		if r.hash == "" || !phases[r.phase] {
			continue
		}
		if hashes[key] != r.hash {
			changed = append(changed, key)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	more := ""
	if n := len(changed) - 10; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
		changed = changed[:10]
	}
	return fmt.Errorf("cannot resume: what is done already is not what is to be done now: %s%s; resume with the same options and an unchanged source, or undo the run with pghaul rollback and begin anew",
		strings.Join(changed, ", "), more)
}

// hash tells definitions of a step apart; it is "" for what may change without
// harm, since it is done again or is data.
func hash(s *Step) string {
	if s.Entry.Kind == "SEQUENCE SET" || s.Stage == StageDrop || s.Action == ActionLargeObjects || s.Action == ActionInsert {
		return ""
	}
	h := sha256.New()
	for _, text := range slices.Concat(s.Setup, s.Enter, []string{s.SQL, s.Owner}, s.Finish) {
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Done implements Journal.
func (j *TargetJournal) Done(s *Step) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, done := j.steps[s.Key]
	return done && (j.opts.Again == nil || !j.opts.Again(s))
}

// Has says whether the journal of an earlier run has a step of that key.
func (j *TargetJournal) Has(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, done := j.steps[key]
	return done
}

// Keys returns the keys of all steps that are done.
func (j *TargetJournal) Keys(ctx context.Context) (map[string]bool, error) {
	rows, err := j.query(ctx, "SELECT key FROM pghaul.step WHERE void IS NULL")
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	keys := make(map[string]bool, len(rows))
	for _, r := range rows {
		keys[r[0]] = true
	}
	return keys, nil
}

// Forget runs SQL that undoes steps and forgets that they were done, in one
// transaction.
func (j *TargetJournal) Forget(ctx context.Context, sql string, keys []string) error {
	err := j.do(ctx, "BEGIN;\n"+strings.TrimRight(sql, "; \n")+";\nDELETE FROM pghaul.step WHERE key IN ("+literals(keys)+");\nCOMMIT")
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range keys {
		delete(j.steps, k)
	}
	return nil
}

// Record implements Journal.
func (j *TargetJournal) Record(steps []*Step) string {
	notes := make([]Note, len(steps))
	for i, s := range steps {
		notes[i] = Note{Key: s.Key, Phase: j.opts.Phase(s), Hash: hash(s), Undo: literal(s.Undo)}
		switch s.Entry.Kind {
		case "EXTENSION":
			notes[i].Undo = j.madeExtension(s.Entry.Tag)
		case "SCHEMA": // IF NOT EXISTS, where the target has it already
			notes[i].Undo = fmt.Sprintf("(SELECT %s FROM pg_catalog.pg_namespace n WHERE nspname = %s AND NOT EXISTS (SELECT FROM pghaul.object o WHERE o.classid = 2615 AND o.objid = n.oid))", literal(s.Undo), literal(s.Entry.Tag))
		case "PROCEDURAL LANGUAGE":
			notes[i].Undo = fmt.Sprintf("(SELECT %s FROM pg_catalog.pg_language WHERE lanname = %s AND %s)", literal(s.Undo), literal(s.Entry.Tag), madeNow)
		}
	}
	return j.Notes(notes)
}

// madeNow is true for rows of a catalog that the transaction under way has
// added.
const madeNow = "xmin::text = (pg_catalog.txid_current() % 4294967296)::text"

// madeExtension is an expression for the SQL that drops an extension if the
// transaction under way has made it, and not if it was there before: its
// definition says IF NOT EXISTS. With it go extensions it needs that came with
// CASCADE, when nothing else needs them.
func (j *TargetJournal) madeExtension(name string) string {
	return fmt.Sprintf(`(SELECT pg_catalog.string_agg(CASE WHEN extname = %[1]s THEN pg_catalog.format('DROP EXTENSION IF EXISTS %%I;', extname)
  ELSE pg_catalog.format('DO $pghaul$ BEGIN DROP EXTENSION IF EXISTS %%I; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $pghaul$;', extname) END,
  ' ' ORDER BY extname = %[1]s DESC, oid DESC)
FROM pg_catalog.pg_extension WHERE (extname = %[1]s OR extname NOT IN (%[2]s)) AND %[3]s)`, literal(name), literals(j.extensions), madeNow)
}

// A Note is what the journal notes of a step.
type Note struct {
	Key, Phase, Hash string
	Undo             string // an SQL expression for the statements that take the step back
}

// Notes returns SQL that notes steps as done.
func (j *TargetJournal) Notes(notes []Note) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	var keys []string
	for _, n := range notes {
		if _, again := j.steps[n.Key]; again || j.voids[n.Key] {
			keys = append(keys, literal(n.Key))
		}
	}
	if len(keys) > 0 {
		// A row that is void goes only if it is the one this run knows of: else a
		// session that was lost has come to life, and must fail.
		fmt.Fprintf(&b, "DELETE FROM pghaul.step WHERE run = '%s' AND key IN (%s) AND (void IS NULL OR void = %d);\n", j.run.ID, strings.Join(keys, ", "), j.void)
	}
	b.WriteString("INSERT INTO pghaul.step (run, key, phase, hash, undo) VALUES ")
	for i, n := range notes {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "('%s', %s, %s, '%s', %s)", j.run.ID, literal(n.Key), literal(n.Phase), n.Hash, n.Undo)
	}
	b.WriteString(";")
	return b.String()
}

// Committed implements Journal.
func (j *TargetJournal) Committed(ctx context.Context, conn *pgconn.PgConn, steps []*Step) ([]*Step, error) {
	keys := make([]string, len(steps))
	for i, s := range steps {
		keys[i] = s.Key
	}
	there, err := j.Settle(ctx, conn, keys)
	if err != nil {
		return nil, err
	}
	var done []*Step
	for _, s := range steps {
		if there[s.Key] {
			done = append(done, s)
		}
	}
	return done, nil
}

// settleFor is how long Settle waits for a lost session to end.
const settleFor = time.Minute

// Settle finds out which of the steps a lost session was about to commit are
// done, and sees to it that it cannot commit the others any more: it puts void
// rows in the place of theirs. The session's own row either is there already,
// or cannot be added.
func (j *TargetJournal) Settle(ctx context.Context, conn *pgconn.PgConn, keys []string) (map[string]bool, error) {
	j.mu.Lock()
	j.void++
	void, run := j.void, j.run.ID
	j.mu.Unlock()
	var rows, list []string
	for _, k := range keys {
		rows = append(rows, fmt.Sprintf("('%s', %s, '', '', %d)", run, literal(k), void))
		list = append(list, literal(k))
	}
	sql := fmt.Sprintf(`BEGIN; SET LOCAL lock_timeout = %d;
INSERT INTO pghaul.step AS s (run, key, phase, hash, void) VALUES %s
ON CONFLICT (run, key) DO UPDATE SET void = excluded.void WHERE s.void IS NOT NULL;
COMMIT;
SELECT key FROM pghaul.step WHERE run = '%s' AND void IS NULL AND key IN (%s)`,
		settleFor.Milliseconds(), strings.Join(rows, ", "), run, strings.Join(list, ", "))
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		if !conn.IsClosed() {
			_ = exec(ctx, conn, "ROLLBACK")
		}
		return nil, fmt.Errorf("find out what a lost session has committed: %w", err)
	}
	done := make(map[string]bool)
	for _, row := range results[len(results)-1].Rows {
		done[string(row[0])] = true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range keys {
		if !done[k] {
			j.voids[k] = true
			delete(j.steps, k)
		}
	}
	return done, nil
}

// literal quotes a value for a session with any standard_conforming_strings.
func literal(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// connect opens the journal's own connection.
func (j *TargetJournal) connect(ctx context.Context) error {
	conn, err := pg.Connect(ctx, j.target, pg.Write, pg.Options{Application: j.app, Role: j.opts.Role, Direct: true})
	if err != nil {
		return fmt.Errorf("connect to target: %w", err)
	}
	j.conn = conn
	// The journal's tables have no statistics, and the comparison of catalogs row
	// by row takes minutes. What somebody else holds cannot be taken back, and is
	// better said than waited for.
	return exec(ctx, conn.PgConn(), "SET enable_nestloop = off; SET jit = off; SET lock_timeout = '1min'")
}

// Close leaves the journal for a later run.
func (j *TargetJournal) Close() {
	if j.conn != nil {
		pg.Close(j.conn)
		j.conn = nil
	}
}

// Finish drops the journal, as the run has come to its end.
func (j *TargetJournal) Finish(ctx context.Context) error {
	err := j.do(ctx, "DROP SCHEMA IF EXISTS pghaul CASCADE")
	j.Close()
	if err != nil {
		return fmt.Errorf("remove the journal, schema %s of the target: %w", JournalSchema, err)
	}
	return nil
}

// do runs statements in a transaction of their own on the journal's connection,
// which is made anew if it is lost. They must do no harm if they are run twice.
func (j *TargetJournal) do(ctx context.Context, sql string) error {
	for try := 1; ; try++ {
		if err := j.reconnect(ctx); err != nil {
			return err
		}
		c := j.conn.PgConn()
		err := exec(ctx, c, sql)
		if err == nil || ctx.Err() != nil || !c.IsClosed() || try == loads {
			if err != nil && !c.IsClosed() && c.TxStatus() != 'I' {
				if rollback := exec(ctx, c, "ROLLBACK"); rollback != nil {
					j.Close()
				}
			}
			return err
		}
	}
}

// reconnect makes the journal's connection anew if it was lost. A target that
// restarts is waited for.
func (j *TargetJournal) reconnect(ctx context.Context) error {
	if j.conn != nil && !j.conn.IsClosed() {
		return nil
	}
	for start := time.Now(); ; {
		j.Close()
		err := j.connect(ctx)
		if err == nil {
			return j.lock(ctx)
		}
		if ctx.Err() != nil || !passing(err) || time.Since(start) > reconnectFor {
			return err
		}
		if err := pg.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

var _ Journal = (*TargetJournal)(nil)
