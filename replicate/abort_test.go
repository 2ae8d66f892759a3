package replicate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// With one end gone everything is taken away from the other.
func TestAbortOneEnd(t *testing.T) {
	t.Parallel()
	e := &ends{
		source: pgtest.Private(t, latest(t), pgtest.Options{Settings: pgtest.LogicalSettings(), Template: true}),
		target: pgtest.Private(t, latest(t), pgtest.Options{Template: true}),
	}
	e.sourceDB, e.targetDB = e.source.Database(t), e.target.Database(t)
	e.both(t, "CREATE TABLE t (id int PRIMARY KEY)")
	o, _ := e.native(t, "t")
	r := e.run(t, o)
	e.enabled(t, o.ID)
	r.stop(t)

	e.source.Stop(t)
	err := Abort(t.Context(), o)
	left, ok := errors.AsType[*AbortError](err)
	if !ok || !slices.Contains(left.Left, "replication slot pghaul_"+o.ID) || !slices.Contains(left.Left, "role pghaul_"+o.ID) {
		t.Fatalf("without the source: %v", err)
	}
	if got := e.target.Text(t, e.targetDB, "SELECT count(*) FROM pg_subscription"); got != "0" {
		t.Error("the subscription is left")
	}
	if s, err := Status(t.Context(), Options{Source: o.Source, Target: o.Target, ID: o.ID}); err != nil || s.Stage != Aborted {
		t.Errorf("status %+v, %v", s, err)
	}
	e.source.Restart(t)
	if err := Abort(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(t, o.ID)

	o2, _ := e.native(t, "t")
	r = e.run(t, o2)
	e.enabled(t, o2.ID)
	r.stop(t)
	e.target.Stop(t)
	if err := Abort(t.Context(), o2); err == nil || !strings.Contains(err.Error(), "target") {
		t.Errorf("without the target: %v", err)
	}
	for range 2 {
		if err := AbortSource(t.Context(), o2.Source, o2.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := AbortSource(t.Context(), o2.Source, "X'"); err == nil {
		t.Error("an ID that is none")
	}
	if got := e.source.Text(t, e.sourceDB, "SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pghaul%')"); got != "0" {
		t.Errorf("%s objects are left on the source", got)
	}
}

// Another database is not taken for the source.
func TestAbortOtherSource(t *testing.T) {
	t.Parallel()
	e := newEnds(t, latest(t), latest(t))
	e.both(t, "CREATE TABLE t (id int PRIMARY KEY)")
	o, f := e.native(t, "t")
	wrong := o
	wrong.Source = e.source.Config(t, e.source.Database(t))
	if err := Abort(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), f.SourceDatabase) {
		t.Errorf("another database: %v", err)
	}
	if got := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pghaul_"+o.ID+"'"); got != "1" {
		t.Error("the slot is gone")
	}
}
