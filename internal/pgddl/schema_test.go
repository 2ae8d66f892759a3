package pgddl

import (
	"errors"
	"slices"
	"testing"
)

func TestRenameSchemas(t *testing.T) {
	t.Parallel()
	to := map[string]string{"app": "App New", "new": "x", "a": "b", "b": "a"}
	for name, c := range map[string]struct {
		sql, want string
		mentions  []string
		err       bool
	}{
		"nothing of it":              {sql: "CREATE TABLE public.t (i integer)", want: "CREATE TABLE public.t (i integer)"},
		"a table":                    {sql: "CREATE TABLE app.app (app app.d, x text);\n", want: "CREATE TABLE \"App New\".app (app \"App New\".d, x text);\n"},
		"quoted":                     {sql: `DROP TABLE "app"."T";`, want: `DROP TABLE "App New"."T";`},
		"two change places":          {sql: "ALTER TABLE a.t INHERIT b.t", want: "ALTER TABLE b.t INHERIT a.t"},
		"only the first part":        {sql: "COMMENT ON COLUMN t.app.app IS 'app.x'", want: "COMMENT ON COLUMN t.app.app IS 'app.x'", mentions: []string{"app"}},
		"copy":                       {sql: "COPY app.t (app, b) FROM stdin;\n", want: "COPY \"App New\".t (app, b) FROM stdin;\n"},
		"the schema itself":          {sql: "CREATE SCHEMA app;\nALTER SCHEMA app OWNER TO app;", want: "CREATE SCHEMA \"App New\";\nALTER SCHEMA \"App New\" OWNER TO app;"},
		"if exists":                  {sql: "DROP SCHEMA IF EXISTS app;", want: "DROP SCHEMA IF EXISTS \"App New\";"},
		"a column called schema":     {sql: "CREATE TABLE app.t (schema app.d)", want: "CREATE TABLE \"App New\".t (schema \"App New\".d)"},
		"extension":                  {sql: "CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA app;", want: "CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA \"App New\";"},
		"default privileges":         {sql: "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA app GRANT SELECT ON TABLES TO app;", want: "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA \"App New\" GRANT SELECT ON TABLES TO app;"},
		"publication":                {sql: "ALTER PUBLICATION app ADD TABLES IN SCHEMA app, other;", want: "ALTER PUBLICATION app ADD TABLES IN SCHEMA \"App New\", other;"},
		"row filter":                 {sql: "ALTER PUBLICATION p ADD TABLE ONLY app.t (a, b) WHERE ((app.f(a) > 0));", want: "ALTER PUBLICATION p ADD TABLE ONLY \"App New\".t (a, b) WHERE ((\"App New\".f(a) > 0));"},
		"setval":                     {sql: "SELECT pg_catalog.setval('app.\"S\"', 1, true);", want: "SELECT pg_catalog.setval('\"App New\".\"S\"', 1, true);"},
		"nextval":                    {sql: "ALTER TABLE ONLY app.t ALTER COLUMN i SET DEFAULT nextval('app.s'::regclass);", want: "ALTER TABLE ONLY \"App New\".t ALTER COLUMN i SET DEFAULT nextval('\"App New\".s'::regclass);"},
		"text before regclass":       {sql: "SELECT nextval(('app.s'::text)::regclass)", want: "SELECT nextval(('\"App New\".s'::text)::regclass)"},
		"regprocedure":               {sql: "SELECT 'app.f(app.t,integer)'::regprocedure", want: "SELECT '\"App New\".f(\"App New\".t,integer)'::regprocedure"},
		"regnamespace":               {sql: "SELECT 'app'::regnamespace", want: "SELECT '\"App New\"'::regnamespace"},
		"no array of names":          {sql: "SELECT '{app.t}'::regclass[]", want: "SELECT '{app.t}'::regclass[]", mentions: []string{"app"}},
		"statistics":                 {sql: "SELECT * FROM pg_catalog.pg_restore_relation_stats('schemaname', 'app', 'relname', 'app');", want: "SELECT * FROM pg_catalog.pg_restore_relation_stats('schemaname', 'App New', 'relname', 'app');"},
		"a body":                     {sql: "CREATE FUNCTION app.f() RETURNS app.t LANGUAGE sql AS $$SELECT * FROM app.t$$;", want: "CREATE FUNCTION \"App New\".f() RETURNS \"App New\".t LANGUAGE sql AS $$SELECT * FROM app.t$$;", mentions: []string{"app"}},
		"a body in capitals":         {sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT App . X()'", want: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT App . X()'", mentions: []string{"app"}},
		"a body with another's":      {sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT myapp.x(), x.app.y, apps.z, current_setting(''app.x'')'", want: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT myapp.x(), x.app.y, apps.z, current_setting(''app.x'')'"},
		"a body's search path":       {sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SET search_path = public, app; SELECT 1'", want: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SET search_path = public, app; SELECT 1'", mentions: []string{"app"}},
		"search path of a function":  {sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path TO 'app', 'pg_temp' SET app.x TO 'app' AS ''", want: "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path TO 'App New', 'pg_temp' SET app.x TO 'app' AS ''"},
		"search path of a role":      {sql: "ALTER ROLE app SET search_path TO app, \"$user\"", want: "ALTER ROLE app SET search_path TO \"App New\", \"$user\""},
		"options":                    {sql: "CREATE TABLE app.t (i integer) WITH (app.enabled='false')", want: "CREATE TABLE \"App New\".t (i integer) WITH (app.enabled='false')"},
		"comments stay":              {sql: "-- app.t\nCREATE TABLE app.t (); /* app.t */", want: "-- app.t\nCREATE TABLE \"App New\".t (); /* app.t */"},
		"rows of triggers":           {sql: "CREATE TRIGGER t BEFORE INSERT ON new.t FOR EACH ROW WHEN ((new.x > new.f(1))) EXECUTE FUNCTION new.f();", want: "CREATE TRIGGER t BEFORE INSERT ON x.t FOR EACH ROW WHEN ((new.x > x.f(1))) EXECUTE FUNCTION x.f();"},
		"a table's alias":            {sql: "CREATE VIEW v AS SELECT app.id, app.f(app.id), app.x::app.d FROM app.app, app.t GROUP BY app.id", want: "CREATE VIEW v AS SELECT app.id, \"App New\".f(app.id), app.x::\"App New\".d FROM \"App New\".app, \"App New\".t GROUP BY app.id"},
		"neither schema nor alias":   {sql: "CREATE VIEW v AS SELECT app.id FROM other.t", err: true},
		"no SQL":                     {sql: "CREATE TABLE app.t ('", err: true},
		"a foreign table's own name": {sql: "CREATE FOREIGN TABLE app.t () SERVER s OPTIONS (schema_name 'app')", want: "CREATE FOREIGN TABLE \"App New\".t () SERVER s OPTIONS (schema_name 'app')"},
		"composite assignment":       {sql: "CREATE RULE r AS ON UPDATE TO public.v DO INSTEAD  UPDATE app.t SET app.x = 1, app.y = app.f(2)", want: "CREATE RULE r AS ON UPDATE TO public.v DO INSTEAD  UPDATE \"App New\".t SET app.x = 1, app.y = \"App New\".f(2)"},
		"column definitions":         {sql: "CREATE VIEW v AS SELECT x.i FROM app.f() x(i app.d, j integer)", want: "CREATE VIEW v AS SELECT x.i FROM \"App New\".f() x(i \"App New\".d, j integer)"},
		"aggregate and operator":     {sql: "CREATE OPERATOR app.+ (FUNCTION = app.f, COMMUTATOR = OPERATOR(app.+))", want: "CREATE OPERATOR \"App New\".+ (FUNCTION = \"App New\".f, COMMUTATOR = OPERATOR(\"App New\".+))"},
	} {
		got, mentions, err := RenameSchemas(c.sql, to)
		if (err != nil) != c.err || err != nil && !errors.Is(err, ErrShape) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got != c.want || !slices.Equal(mentions, c.mentions) {
			t.Errorf("%s:\n got %s %v\nwant %s %v", name, got, mentions, c.want, c.mentions)
		}
	}
}
