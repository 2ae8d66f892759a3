package migrate_test

import (
	"testing"

	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/migrate"
)

// Phases can be run one by one, again, and be taken back one by one. What
// failed in a run that kept going is tried again by one that resumes it.
func TestPhases(t *testing.T) {
	t.Parallel()
	if !tested(t, 15, 17) {
		t.Skip("the versions of this test are left out")
	}
	p := newPair(t, 15, 17)
	start := before(t, p)
	run := func(change func(*migrate.Options), phases ...migrate.Phase) *migrate.Report {
		t.Helper()
		opts := options(nil)
		opts.Phases = phases
		if change != nil {
			change(&opts)
		}
		report, err := migrate.Run(t.Context(), p.source, p.target, opts)
		if err != nil {
			t.Fatalf("%v: %v", phases, err)
		}
		return report
	}
	states := func(r *migrate.Report, want ...migrate.State) {
		t.Helper()
		for i, s := range want {
			if r.Phases[i].State != s {
				t.Errorf("phase %s is %s, want %s", r.Phases[i].Phase, r.Phases[i].State, s)
			}
		}
	}
	if _, err := migrate.Run(t.Context(), p.source, p.target, migrate.Options{Rules: options(nil).Rules, Phases: []migrate.Phase{migrate.SchemaData}}); err == nil {
		t.Error("schema and data went over without roles")
	}
	same(t, start, before(t, p))
	states(run(nil, migrate.PreSchema), migrate.Done, migrate.NotRun, migrate.NotRun)
	roles := before(t, p)
	states(run(nil, migrate.SchemaData), migrate.Earlier, migrate.Done, migrate.NotRun)
	if r := run(nil, migrate.SchemaData); r.Rows != 0 || len(r.Reloaded) != 0 || r.Earlier == 0 {
		t.Errorf("done again, %d rows, reloaded %v, earlier %d", r.Rows, r.Reloaded, r.Earlier)
	}
	rep, err := migrate.Rollback(t.Context(), p.target, migrate.RollbackOptions{Phases: []migrate.Phase{migrate.SchemaData}})
	if err != nil || len(rep.Remains) > 0 {
		t.Fatalf("%+v %v", rep, err)
	}
	same(t, roles, before(t, p))
	rollBack(t, p)
	same(t, start, before(t, p))

	plan := broken(t, p, "CONSTRAINT", "customer customer_email_key")
	r := run(func(o *migrate.Options) { o.Plan, o.KeepGoing = plan, true })
	if len(r.Failed) != 1 || r.Complete {
		t.Errorf("kept going: failed %v, complete %v", r.Failed, r.Complete)
	}
	states(r, migrate.Done, migrate.Done, migrate.Partial)
	r = run(func(o *migrate.Options) { o.Resume = true }, migrate.PostSchema)
	states(r, migrate.Earlier, migrate.Earlier, migrate.Done)
	if !r.Complete {
		t.Errorf("not complete: %v %v", r.Failed, r.Warnings)
	}
	golden.Check(t, "listing17.txt", list(t, p.ne, "neondb"))
}
