package platform

import (
	"slices"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/quote"
)

// awkward is a schema "app" in which everything has a name that could be taken
// for the schema's: tables, columns, aliases, functions and their arguments.
const awkward = `
CREATE SCHEMA app; CREATE SCHEMA other; COMMENT ON SCHEMA app IS 'schema app.';
CREATE TYPE app.mood AS ENUM ('app.sad', 'ok'); CREATE TYPE app.pair AS (app integer, b app.mood); CREATE DOMAIN app.d AS text CHECK (VALUE <> 'app.x');
CREATE SEQUENCE app."S q"; SELECT setval('app."S q"', 7);
CREATE TABLE app.app (id integer DEFAULT nextval('app."S q"') PRIMARY KEY, app app.pair, schema text, m app.mood[] DEFAULT '{ok}'::app.mood[], note text DEFAULT 'app.note');
ALTER SEQUENCE app."S q" OWNED BY app.app.id;
CREATE TABLE app.child (x integer GENERATED ALWAYS AS IDENTITY, app_id integer REFERENCES app.app ON UPDATE CASCADE, r regclass DEFAULT 'app.app'::regclass, t app.d) WITH (toast.autovacuum_enabled = false);
CREATE TABLE app.part (k integer, v text) PARTITION BY LIST (k); CREATE TABLE other.part1 PARTITION OF app.part FOR VALUES IN (1); CREATE INDEX ON app.part (v);
CREATE FUNCTION app.app(app app.pair, n integer DEFAULT 1) RETURNS app.mood LANGUAGE sql IMMUTABLE SET search_path TO app, public, pg_temp SET app.setting TO 'app.x' AS 'SELECT (app).b';
CREATE FUNCTION app.f(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN count(*) FROM app.app; END';
CREATE AGGREGATE app.total(app.mood) (SFUNC = array_append, STYPE = app.mood[]);
CREATE FUNCTION app.eq(app.pair, app.pair) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR app.=== (FUNCTION = app.eq, LEFTARG = app.pair, RIGHTARG = app.pair, COMMUTATOR = OPERATOR(app.===));
CREATE COLLATION app."C" (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION app.cfg (COPY = pg_catalog.simple);
CREATE FUNCTION other.search(text) RETURNS tsvector LANGUAGE sql SET default_text_search_config TO 'app.cfg' AS 'SELECT to_tsvector($1)';
CREATE INDEX "app.i" ON app.app (app.f(id), (note COLLATE app."C")) WHERE app.f(id) > 0;
CREATE STATISTICS app.st ON id, note FROM app.app;
CREATE VIEW app.v AS SELECT app.id, app.app, (app.app).b AS b, app.f(app.id) AS f, app.id::text || 'app.x' AS s, 'app.app'::regclass AS r FROM app.app WHERE app.id > 0;
CREATE VIEW other.v AS WITH app AS (SELECT a.id FROM app.app a UNION SELECT c.x FROM app.child c)
  SELECT app.id, EXTRACT(year FROM now()) AS y, (SELECT max(app_1.x) FROM app.child app_1 WHERE app_1.x IS DISTINCT FROM app.id) AS m
  FROM app JOIN app.child USING (app_id2) LEFT JOIN (app.app z JOIN other.part1 ON true) ON z.id = app.id, app.part, LATERAL app.f(app.id) g(g) ORDER BY app.id;
CREATE MATERIALIZED VIEW app.mv AS SELECT app.*, app.app OPERATOR(app.===) app.app AS same FROM app.app;
CREATE RULE r AS ON INSERT TO app.v DO INSTEAD INSERT INTO app.child AS app (app_id) VALUES (new.id) ON CONFLICT DO NOTHING;
CREATE RULE u AS ON UPDATE TO app.v DO INSTEAD (UPDATE app.app SET note = (SELECT app.t FROM app.child app LIMIT 1), id = new.id WHERE app.id = old.id; DELETE FROM app.child USING app.app WHERE app.id = child.x);
CREATE FUNCTION app.tg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER app BEFORE INSERT OR UPDATE ON app.app FOR EACH ROW WHEN (app.f(new.id) IS DISTINCT FROM 1) EXECUTE FUNCTION app.tg('app.x');
ALTER TABLE app.app ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON app.app FOR SELECT USING (app.f(id) > 0 AND EXISTS (SELECT FROM app.child WHERE child.app_id = app.id AND child.t = current_setting('app.tenant', true)));
CREATE PUBLICATION pub FOR TABLE app.app, app.child;
GRANT USAGE ON SCHEMA app TO pg_monitor; GRANT SELECT (id) ON app.app TO pg_monitor; GRANT EXECUTE ON FUNCTION app.app(app.pair, integer) TO pg_monitor; GRANT USAGE ON TYPE app.mood TO pg_monitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO pg_monitor;
COMMENT ON COLUMN app.app.id IS 'app.app.id'; COMMENT ON FUNCTION app.app(app.pair, integer) IS 'app.app'; COMMENT ON CONSTRAINT app_pkey ON app.app IS 'x';
`

// since15 is what older servers do not know.
const since15 = `
CREATE FUNCTION app.std(app integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC
  INSERT INTO app.child AS app (app_id) SELECT app.id FROM app.app WHERE app.id = std.app RETURNING app.x;
  UPDATE app.app SET note = app.note || '!' FROM app.child WHERE app.id = child.x;
  SELECT app.f(app.id) FROM app.app; END;
CREATE FUNCTION app.ret(n integer DEFAULT app.f(1)) RETURNS TABLE(app app.mood, i integer) LANGUAGE sql RETURN ('ok'::app.mood, app.f(n));
ALTER PUBLICATION pub SET TABLE app.app (id) WHERE (id > 0), app.child; CREATE PUBLICATION whole FOR TABLES IN SCHEMA app;
`

// TestRenamedSchema compares what is made of every entry with what the server
// says when it has renamed the schema itself.
func TestRenamedSchema(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		sql := strings.Replace(awkward, "JOIN app.child USING (app_id2)", "JOIN app.child ON child.x = app.id", 1)
		s.Exec(t, db, sql)
		if s.Major >= 15 {
			s.Exec(t, db, since15)
		}
		before := slices.Clone(open(t, s.DSN(db)).Entries())
		for _, to := range []string{"other2", `App "New`} {
			s.Exec(t, db, `ALTER SCHEMA app RENAME TO `+quote.Ident(to))
			live := open(t, s.DSN(db))
			want := map[string]string{}
			for _, e := range live.Entries() {
				want[text(e)] = ""
			}
			live.Close()
			s.Exec(t, db, `ALTER SCHEMA `+quote.Ident(to)+` RENAME TO app`)
			plan := &Plan{Rules: Rules{Schemas: map[string]string{"app": to}}}
			for _, e := range before {
				was := e
				plan.MapEntry(&e)
				e.Create = plan.MapSQL(e.Create)
				stays := e.Kind == "FUNCTION" && (strings.Contains(e.Tag, "app(") || strings.Contains(e.Tag, "search(")) // SET of a function keeps what it was given
				if _, ok := want[text(e)]; !ok && !stays {
					t.Errorf("%s → %s: no entry of the server's is\n%q\nwas %s", was.Tag, to, text(e), was.Create)
				}
				delete(want, text(e))
			}
			for w := range want {
				if !strings.Contains(w, "FUNCTION") || !strings.Contains(w, "search_path") && !strings.Contains(w, "text_search") {
					t.Errorf("→ %s: nothing becomes\n%q", to, w)
				}
			}
		}
	})
}

// text is an entry as far as names are concerned.
func text(e archive.Entry) string {
	return strings.Join([]string{e.Kind, e.Namespace, e.Tag, e.Create, e.Drop, e.Copy}, "\n| ")
}

// TestSchemas plans schemas under other names, without servers.
func TestSchemas(t *testing.T) {
	t.Parallel()
	entry := func(id int, kind, schema, tag, create string, after ...int) archive.Entry {
		return archive.Entry{ID: id, Kind: kind, Namespace: schema, Tag: tag, Owner: "app_owner", Create: create, Drop: "DROP " + kind + " " + tag + ";\n", After: after}
	}
	entries := []archive.Entry{
		entry(1, "SCHEMA", "", "app", "CREATE SCHEMA app;\n"),
		entry(2, "SCHEMA", "", "sales", "CREATE SCHEMA sales;\n"),
		entry(3, "TABLE", "app", "t", "CREATE TABLE app.t (i integer);\n", 1),
		entry(4, "TABLE", "sales", "t", "CREATE TABLE sales.t (i integer);\n", 2),
		entry(5, "TABLE", "public", "p", "CREATE TABLE public.p (i integer);\n"),
		entry(6, "FUNCTION", "app", "f(app.t)", "CREATE FUNCTION app.f(app.t) RETURNS integer LANGUAGE sql AS 'SELECT count(*) FROM app.t';\n", 3),
		entry(7, "ACL", "", "SCHEMA app", "REVOKE ALL ON SCHEMA app FROM app_owner;\nGRANT USAGE ON SCHEMA app TO app_rw;\n", 1),
	}
	for name, c := range map[string]struct {
		schemas map[string]string
		change  func(*Input)
		blocks  string // "" for nothing
		has     []string
	}{
		"another name": {
			schemas: map[string]string{"app": "App New"},
			has: []string{
				`SCHEMA |App New|CREATE SCHEMA "App New";`, `TABLE App New|t|CREATE TABLE "App New".t (i integer);`, `ACL |SCHEMA "App New"|REVOKE ALL ON SCHEMA "App New" FROM app_owner;`,
				`FUNCTION App New|f("App New".t)|CREATE FUNCTION "App New".f("App New".t) RETURNS integer LANGUAGE sql AS 'SELECT count(*) FROM app.t';`, "! its body names schema app",
			},
		},
		"into public": {
			schemas: map[string]string{"app": "public"},
			has: []string{
				"SCHEMA |public|-- *not* creating", "TABLE public|t|CREATE TABLE public.t", "ACL |SCHEMA public|GRANT USAGE ON SCHEMA public TO app_rw;", "GRANT ALL ON SCHEMA public TO app_owner;",
			},
		},
		"of public": {schemas: map[string]string{"public": "old"}, has: []string{"SCHEMA |old|CREATE SCHEMA old;", "GRANT USAGE ON SCHEMA old TO PUBLIC", "TABLE old|p|CREATE TABLE old.p"}},
		"an empty one of the target": {
			schemas: map[string]string{"app": "theirs"}, change: func(in *Input) { in.Target.Objects = []Object{{Kind: "schema", Name: "theirs"}} },
			has: []string{"SCHEMA |theirs|CREATE SCHEMA IF NOT EXISTS theirs;", "TABLE theirs|t|"},
		},
		"one of the target with something in it": {
			schemas: map[string]string{"app": "theirs"}, blocks: "has objects already (table theirs.t)",
			change: func(in *Input) { in.Target.Objects = []Object{{"schema", "", "theirs"}, {"table", "theirs", "t"}} },
		},
		"what collides there": {
			schemas: map[string]string{"app": "theirs"}, blocks: "come from the source, too (table theirs.t)",
			change: func(in *Input) {
				in.Target.Objects, in.Rules.Collision = []Object{{"schema", "", "theirs"}, {"table", "theirs", "t"}}, Ignore
			},
		},
		"what does not collide any more": {
			schemas: map[string]string{"app": "new"},
			change: func(in *Input) {
				in.Target.Objects, in.Rules.Collision = []Object{{"schema", "", "app"}, {"table", "app", "t"}}, Ignore
			},
		},
		"two into one":        {schemas: map[string]string{"app": "one", "sales": "one"}, blocks: "table app.t would have the same name"},
		"one into another":    {schemas: map[string]string{"app": "sales"}, blocks: "would have the same name"},
		"the other way round": {schemas: map[string]string{"app": "sales", "sales": "app"}, has: []string{"TABLE sales|t|CREATE TABLE sales.t", "TABLE app|t|CREATE TABLE app.t", "SCHEMA |sales|CREATE SCHEMA sales;"}},
		"one that is not":     {schemas: map[string]string{"apq": "x"}, blocks: `"apq", which is to become "x", is not`},
		"a system's":          {schemas: map[string]string{"app": "pg_app"}, blocks: "a name that the target keeps"},
		"what cannot be told": {
			schemas: map[string]string{"app": "x"}, blocks: "cannot be told",
			change: func(in *Input) {
				in.Entries = append(slices.Clone(in.Entries), entry(8, "VIEW", "public", "v", "CREATE VIEW public.v AS SELECT app.x FROM public.t;\n"))
			},
		},
		"inserts": {
			schemas: map[string]string{"app": "x"}, blocks: "INSERT statements",
			change: func(in *Input) {
				e := entry(8, "TABLE DATA", "app", "t", "", 3)
				e.HasData = true
				in.Entries = append(slices.Clone(in.Entries), e)
			},
		},
		"search paths": {
			schemas: map[string]string{"app": "App New"}, has: []string{`setting search_path = "App New", "$user"`, `setting search_path = other`},
			change: func(in *Input) {
				in.Source.Settings = []Setting{{Role: "app_rw", Name: "search_path", Value: `app, "$user"`}, {Role: "app_owner", Name: "search_path", Value: "other"}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := azureInput()
			in.Entries, in.Rules.Schemas = entries, c.schemas
			if c.change != nil {
				c.change(&in)
			}
			plan := mustPlan(t, in)
			if blocked := strings.Join(plan.Blocked(), "\n"); (blocked == "") != (c.blocks == "") || !strings.Contains(blocked, c.blocks) {
				t.Fatalf("blocks: %q, want %q", blocked, c.blocks)
			}
			if c.blocks != "" {
				return
			}
			out, err := followed(t, plan).Apply(in.Entries)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, e := range out {
				b.WriteString(e.Kind + " " + e.Namespace + "|" + e.Tag + "|" + e.Create + "\n")
			}
			for _, s := range plan.Settings {
				b.WriteString("setting " + s.Setting.Name + " = " + s.Setting.Value + "\n")
			}
			b.WriteString(listing(plan))
			for _, want := range c.has {
				if !strings.Contains(b.String(), want) {
					t.Errorf("no %q in\n%s", want, b.String())
				}
			}
		})
	}
}

// TestConnectionLimit takes the database's limit along, from an archive of
// pg_dump too, if the target's user may set it.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Entries = []archive.Entry{{ID: 1, Kind: "DATABASE PROPERTIES", Tag: "appdb", Owner: "azadmin", Create: "ALTER DATABASE appdb CONNECTION LIMIT = 5;\nALTER DATABASE appdb SET work_mem TO '1MB';\n"}}
	in.Source.ConnLimit = FromArchive(archive.Header{}, nil, in.Entries).ConnLimit
	want := SettingItem{Setting: Setting{Database: "neondb", Name: ConnectionLimit, Value: "5"}, Verdict: Keep}
	if plan := followed(t, mustPlan(t, in)); !slices.Contains(plan.Settings, want) {
		t.Errorf("settings %+v, want %+v", plan.Settings, want)
	}
	in.Target.Owner = "cloud_admin"
	if plan := mustPlan(t, in); len(plan.Settings) != 1 || plan.Settings[0].Verdict != Skip {
		t.Errorf("not the target's owner: %+v", plan.Settings)
	}
	in.Target.ConnLimit = 5
	if plan := mustPlan(t, in); len(plan.Settings) > 0 {
		t.Errorf("the target has it: %+v", plan.Settings)
	}
}

// followed is a plan that was written, read again and followed.
func followed(t *testing.T, p *Plan) *Plan {
	t.Helper()
	var b strings.Builder
	if err := p.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	file, err := ReadPlan(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Follow(file)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
