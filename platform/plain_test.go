package platform

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestPlain takes everything that only superusers can make from one database to
// another: between plain servers nothing is changed.
func TestPlain(t *testing.T) {
	t.Parallel()
	versions := pgtest.Versions(t)
	s := pgtest.Start(t, versions[len(versions)-1])
	owner, reader := s.Role(t, "NOLOGIN"), s.Role(t, "LOGIN SUPERUSER")
	from, to := s.Database(t), s.Database(t)
	s.Exec(t, from, `
		CREATE EXTENSION pg_trgm;
		CREATE TYPE public.b; CREATE FUNCTION public.b_in(cstring) RETURNS public.b LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
		CREATE FUNCTION public.b_out(public.b) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
		CREATE TYPE public.b (INPUT = public.b_in, OUTPUT = public.b_out, LIKE = int4);
		CREATE CAST (public.b AS int) WITHOUT FUNCTION;
		CREATE OPERATOR FAMILY public.f USING btree;
		CREATE FUNCTION public.lp() RETURNS int LANGUAGE sql LEAKPROOF SECURITY DEFINER AS 'SELECT 1';
		CREATE FUNCTION public.et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
		CREATE EVENT TRIGGER "`+owner+`" ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION public.et();
		CREATE TEXT SEARCH TEMPLATE public.t (LEXIZE = dsimple_lexize);
		CREATE UNLOGGED TABLE public.u (a text COLLATE "C"); ALTER TABLE public.u OWNER TO "`+owner+`";
		GRANT SELECT ON public.u TO "`+reader+`" WITH GRANT OPTION; SET SESSION AUTHORIZATION "`+reader+`"; GRANT SELECT ON public.u TO PUBLIC; RESET SESSION AUTHORIZATION;
		GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_reset() TO "`+reader+`", pg_monitor;
		CREATE PUBLICATION everything FOR ALL TABLES;
		ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
		ALTER TABLE public.u ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.u TO "`+reader+`", pg_monitor USING (true)`)
	live := open(t, s.DSN(from))
	in := Input{Entries: live.Entries(), Source: *facts(t, s, s.Superuser, from), Target: *facts(t, s, s.Superuser, to)}
	plan := mustPlan(t, in)
	out, err := plan.Apply(in.Entries)
	if err != nil {
		t.Fatal(err)
	}
	var want []archive.Entry
	for _, e := range in.Entries {
		if e.Kind != "DATABASE" {
			want = append(want, e)
		}
	}
	if d := cmp.Diff(want, out); d != "" {
		t.Errorf("%s\n%s", d, listing(plan))
	}
	for _, r := range plan.Roles {
		if r.Verdict != Keep {
			t.Errorf("role %+v", r)
		}
	}

	// The same for somebody who is no superuser: each thing is blocked, none lost.
	in.Target.User = Role{Name: "weak", CreateRole: true, ConnLimit: -1}
	in.Target.Roles = append(in.Target.Roles, in.Target.User)
	blocked := map[string]bool{}
	plan = mustPlan(t, in)
	for _, it := range plan.Items {
		if it.Verdict == Block {
			blocked[it.Kind] = true
		}
	}
	wantBlocked := map[string]bool{"TYPE": true, "FUNCTION": true, "CAST": true, "OPERATOR FAMILY": true, "EVENT TRIGGER": true, "TEXT SEARCH TEMPLATE": true, "PUBLICATION": true}
	for kind := range wantBlocked {
		if !blocked[kind] {
			t.Errorf("%s is not blocked:\n%s", kind, listing(plan))
		}
	}
}
