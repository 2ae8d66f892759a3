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
