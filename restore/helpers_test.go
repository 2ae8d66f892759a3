package restore_test

import (
	"runtime"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// A server on this machine builds with as many helpers as there are processors
// that nobody else uses, and never with more than it allows.
func TestHelpersOfBuilds(t *testing.T) {
	t.Setenv("GOMAXPROCS", "") // keeps this test from running beside others
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	s := pgtest.Start(t, 18)
	built := func(indexes string, jobs int) string {
		from := s.Database(t)
		s.Exec(t, from, `CREATE TABLE t (a int, b int, c text); INSERT INTO t SELECT i, i, md5(i::text) || md5(i::text) FROM generate_series(1, 40000) i;`+indexes)
		to := s.Database(t)
		s.Exec(t, to, `CREATE TABLE public.built (name text, helpers text);
			CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
				INSERT INTO public.built SELECT object_identity, pg_catalog.current_setting('max_parallel_maintenance_workers') FROM pg_catalog.pg_event_trigger_ddl_commands();
			END$$;
			CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.note();`)
		run(t, s, to, dumpDir(t, s, from), restore.Options{Jobs: jobs})
		return s.Text(t, to, "SELECT string_agg(name || ' ' || helpers, ', ' ORDER BY name) FROM public.built")
	}
	if got, want := built("CREATE INDEX ta ON t (a); CREATE INDEX tb ON t (b);", 2), "public.ta 1, public.tb 1"; got != want {
		t.Errorf("two builds at once had helpers: %s; want %s", got, want)
	}
	if got, want := built("CREATE INDEX ta ON t (a);", 2), "public.ta 2"; got != want {
		t.Errorf("a lone build had helpers: %s; want %s", got, want)
	}
	if got, want := built("CREATE INDEX ta ON t (a); CREATE INDEX tb ON t (b);", 4), "public.ta 1, public.tb 1"; got != want {
		t.Errorf("two builds at once of four workers had helpers: %s; want %s", got, want)
	}
}
