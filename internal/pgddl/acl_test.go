package pgddl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgddl"
)

func role(name string) pgddl.Role { return pgddl.Role{Name: name} }

func TestGrant(t *testing.T) {
	for sql, want := range map[string]*pgddl.Grant{
		`GRANT SELECT,INSERT ON TABLE app."Order Items" TO "App.Reader"`: {
			Privileges: []pgddl.Privilege{{Name: "SELECT"}, {Name: "INSERT"}},
			ObjectKind: "TABLE", Object: `app."Order Items"`, Grantees: []pgddl.Role{role("App.Reader")},
		},
		`GRANT SELECT("c d"),UPDATE(e) ON TABLE app.t TO "a""b@c" WITH GRANT OPTION`: {
			Privileges: []pgddl.Privilege{{Name: "SELECT", Columns: []string{"c d"}}, {Name: "UPDATE", Columns: []string{"e"}}},
			ObjectKind: "TABLE", Object: "app.t", Grantees: []pgddl.Role{role(`a"b@c`)}, WithGrantOption: true,
		},
		`REVOKE ALL ON FUNCTION app.f(a integer, "on" text DEFAULT 'to', VARIADIC "to" text[]) FROM PUBLIC`: {
			Revoke: true, Privileges: []pgddl.Privilege{{Name: "ALL"}}, ObjectKind: "FUNCTION",
			Object: `app.f(a integer, "on" text DEFAULT 'to', VARIADIC "to" text[])`, Grantees: []pgddl.Role{{Public: true}},
		},
		`GRANT ALL ON FUNCTION app.agg(*) TO x`: {
			Privileges: []pgddl.Privilege{{Name: "ALL"}}, ObjectKind: "FUNCTION", Object: "app.agg(*)", Grantees: []pgddl.Role{role("x")},
		},
		`GRANT ALL ON FOREIGN DATA WRAPPER w TO x`: {
			Privileges: []pgddl.Privilege{{Name: "ALL"}}, ObjectKind: "FOREIGN DATA WRAPPER", Object: "w", Grantees: []pgddl.Role{role("x")},
		},
		`GRANT SELECT ON LARGE OBJECT 16400 TO x`: {
			Privileges: []pgddl.Privilege{{Name: "SELECT"}}, ObjectKind: "LARGE OBJECT", Object: "16400", Grantees: []pgddl.Role{role("x")},
		},
		`GRANT SET,ALTER SYSTEM ON PARAMETER auto_explain.log_format TO x`: {
			Privileges: []pgddl.Privilege{{Name: "SET"}, {Name: "ALTER SYSTEM"}}, ObjectKind: "PARAMETER",
			Object: "auto_explain.log_format", Grantees: []pgddl.Role{role("x")},
		},
		`GRANT SELECT ON sequence TO x`: {
			Privileges: []pgddl.Privilege{{Name: "SELECT"}}, Object: "sequence", Grantees: []pgddl.Role{role("x")},
		},
		`REVOKE GRANT OPTION FOR SELECT ON TABLE t FROM x, y GRANTED BY z CASCADE`: {
			Revoke: true, GrantOptionFor: true, Privileges: []pgddl.Privilege{{Name: "SELECT"}}, ObjectKind: "TABLE", Object: "t",
			Grantees: []pgddl.Role{role("x"), role("y")}, GrantedBy: &pgddl.Role{Name: "z"}, Tail: "CASCADE",
		},
		`GRANT "a b" TO c WITH ADMIN OPTION, INHERIT FALSE, SET TRUE GRANTED BY d`: {
			Members: []pgddl.Role{role("a b")}, Grantees: []pgddl.Role{role("c")}, GrantedBy: &pgddl.Role{Name: "d"},
			Options: []pgddl.Option{{Name: "ADMIN", Value: "OPTION"}, {Name: "INHERIT", Value: "FALSE"}, {Name: "SET", Value: "TRUE"}},
		},
		`REVOKE ADMIN OPTION FOR a FROM c`: {
			Revoke: true, OptionFor: "ADMIN", Members: []pgddl.Role{role("a")}, Grantees: []pgddl.Role{role("c")},
		},
	} {
		got, err := pgddl.ParseGrant(sql + ";\n")
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", sql, d)
		}
		if got.String() != sql {
			t.Errorf("%s is written as %s", sql, got)
		}
	}
}

// TestGrantWords reads what people write otherwise than pg_dump.
func TestGrantWords(t *testing.T) {
	for sql, want := range map[string]string{
		`grant all privileges on table "T" to "public"`: `GRANT ALL ON TABLE "T" TO PUBLIC`,
		"GRANT select /* to */ ON\nTable t TO\tX -- ;":  `GRANT SELECT ON TABLE t TO x`,
		`GRANT SELECT (a, "B") ON t TO "user"`:          `GRANT SELECT(a, "B") ON t TO "user"`,
	} {
		got, err := pgddl.ParseGrant(sql)
		if err != nil || got.String() != want {
			t.Errorf("%s: %v %v, want %s", sql, got, err, want)
		}
	}
}

func TestGrantRefused(t *testing.T) {
	for _, sql := range []string{
		"", ";", "GRANT", "GRANT SELECT ON TABLE t", "GRANT SELECT ON TABLE t TO", "GRANT SELECT ON TABLE t FROM x", "REVOKE SELECT ON TABLE t TO x",
		"GRANT FLY ON TABLE t TO x", "GRANT SELECT ON TABLE a, b TO x", "GRANT SELECT ON ALL TABLES IN SCHEMA s TO x",
		"GRANT SELECT ON TABLE t TO x; GRANT SELECT ON TABLE t TO y", "GRANT SELECT ON TABLE t TO CURRENT_USER",
		"GRANT SELECT ON TABLE t TO x WITH GRANT", "GRANT SELECT ON TABLE t TO x CASCADE", "GRANT a TO b WITH ADMIN", "GRANT EXECUTE ON FUNCTION f TO x",
		`GRANT SELECT ON TABLE t TO ""`, `GRANT SELECT ON TABLE t TO "x`, "GRANT SELECT() ON TABLE t TO x", "GRANT PUBLIC TO b",
		"GRANT SELECT ON TABLE t TO x GRANTED BY PUBLIC", "SELECT 1", "GRANT SELECT ON TABLE t TO x y", "GRANT SELECT ON LARGE OBJECT t TO x",
	} {
		if g, err := pgddl.ParseGrant(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%s: %v, %v; want ErrShape", sql, g, err)
		}
	}
}

const grants = `REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO PUBLIC;
SET SESSION AUTHORIZATION "Dba@x";
GRANT CREATE ON SCHEMA public TO "my role";
GRANT USAGE ON SCHEMA public TO "my role" WITH GRANT OPTION;
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION "Dba@x";
GRANT USAGE ON SCHEMA public TO other;
RESET SESSION AUTHORIZATION;
`

func TestACL(t *testing.T) {
	items, err := pgddl.ParseACL(grants)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range items {
		got = append(got, i.Grantor+": "+i.Grant.String())
	}
	want := []string{
		": REVOKE ALL ON SCHEMA public FROM PUBLIC", ": GRANT USAGE ON SCHEMA public TO PUBLIC",
		`Dba@x: GRANT CREATE ON SCHEMA public TO "my role"`, `Dba@x: GRANT USAGE ON SCHEMA public TO "my role" WITH GRANT OPTION`,
		"Dba@x: GRANT USAGE ON SCHEMA public TO other",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("items (-want +got):\n%s", d)
	}
	if out := pgddl.FormatACL(items); out != grants {
		t.Errorf("written as\n%s", out)
	}
	items[2].Grant.Grantees[0].Name = "me" // no longer one item with the next
	if out := pgddl.FormatACL(items); strings.Count(out, `SET SESSION AUTHORIZATION "Dba@x"`) != 3 {
		t.Errorf("after a change written as\n%s", out)
	}
	if out := pgddl.FormatACL(nil); out != "" {
		t.Errorf("no items give %q", out)
	}
}

func TestACLRefused(t *testing.T) {
	const grant = "GRANT SELECT ON TABLE t TO x;"
	for _, def := range []string{
		"SET SESSION AUTHORIZATION a;" + grant, "RESET SESSION AUTHORIZATION;" + grant,
		"SET SESSION AUTHORIZATION a; SET SESSION AUTHORIZATION b;" + grant + "RESET SESSION AUTHORIZATION;",
		"SET SESSION AUTHORIZATION DEFAULT;" + grant + "RESET SESSION AUTHORIZATION;", "SET ROLE a;" + grant,
		"SET SESSION AUTHORIZATION '';" + grant + "RESET SESSION AUTHORIZATION;", grant + "DROP TABLE t;",
	} {
		if _, err := pgddl.ParseACL(def); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%s: %v, want ErrShape", def, err)
		}
	}
}

func TestDefaultACL(t *testing.T) {
	const def = `ALTER DEFAULT PRIVILEGES FOR ROLE "App Owner" REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "App Owner" IN SCHEMA "S" GRANT SELECT,UPDATE ON LARGE OBJECTS TO r WITH GRANT OPTION;
`
	list, err := pgddl.ParseDefaultACLs(def)
	if err != nil {
		t.Fatal(err)
	}
	if out := pgddl.FormatDefaultACLs(list); out != def {
		t.Errorf("written as\n%s", out)
	}
	last := list[1]
	if last.Role != "App Owner" || last.Schema != "S" || last.Grant.ObjectKind != "LARGE OBJECTS" || last.Grant.Object != "" || !last.Grant.WithGrantOption {
		t.Errorf("read as %+v %+v", last, last.Grant)
	}
	// pg_dump before 16 leaves a blank for the name that is not there.
	old, err := pgddl.ParseDefaultACL("ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT SELECT ON TABLES  TO r;\n")
	if want := "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT SELECT ON TABLES TO r"; err != nil || old.String() != want {
		t.Errorf("read as %v, %v; want %s", old, err, want)
	}
	for _, sql := range []string{
		"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO r", "ALTER DEFAULT PRIVILEGES FOR ROLE a, b GRANT SELECT ON TABLES TO r",
		"ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLE t TO r", "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT b TO c",
		"ALTER DEFAULT PRIVILEGES FOR ROLE PUBLIC GRANT SELECT ON TABLES TO r",
	} {
		if d, err := pgddl.ParseDefaultACL(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%s: %v, %v; want ErrShape", sql, d, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	for _, c := range []struct {
		sql, head, table, tail string
		roles                  []pgddl.Role
	}{
		{
			`CREATE POLICY "to" ON app.t AS RESTRICTIVE FOR SELECT TO "My Role", r2 USING ((a = 'TO x'::text)) WITH CHECK ((b)::boolean)`,
			`CREATE POLICY "to" ON app.t AS RESTRICTIVE FOR SELECT`, "app.t", `USING ((a = 'TO x'::text)) WITH CHECK ((b)::boolean)`,
			[]pgddl.Role{role("My Role"), role("r2")},
		},
		{`CREATE POLICY p ON app.t USING (true)`, `CREATE POLICY p ON app.t`, "app.t", `USING (true)`, []pgddl.Role{{Public: true}}},
		{`CREATE POLICY p ON t`, `CREATE POLICY p ON t`, "t", "", []pgddl.Role{{Public: true}}},
		{`CREATE POLICY p ON t FOR INSERT TO x`, `CREATE POLICY p ON t FOR INSERT`, "t", "", []pgddl.Role{role("x")}},
	} {
		p, err := pgddl.ParsePolicy(c.sql + ";")
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if p.Head != c.head || p.Table != c.table || p.Tail != c.tail || !cmp.Equal(p.Roles, c.roles) || p.String() != c.sql {
			t.Errorf("%s: %+v", c.sql, p)
		}
	}
	p, err := pgddl.ParsePolicy("CREATE POLICY p ON t TO x USING (true)")
	if err != nil {
		t.Fatal(err)
	}
	p.Roles = nil // must not become one for everybody
	if _, err := pgddl.ParsePolicy(p.String()); !errors.Is(err, pgddl.ErrShape) {
		t.Errorf("without roles it is %s, which is SQL: %v", p, err)
	}
	for _, sql := range []string{"CREATE POLICY p", "CREATE POLICY p ON t FOR TRUNCATE", "CREATE POLICY p ON t USING true", "CREATE POLICY p ON t USING (true) TO x", "CREATE POLICY p ON t TO CURRENT_USER"} {
		if _, err := pgddl.ParsePolicy(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%s: %v, want ErrShape", sql, err)
		}
	}
}

func TestOwner(t *testing.T) {
	for _, sql := range []string{
		`ALTER TABLE app."owner" OWNER TO "App Owner"`, `ALTER FUNCTION s.f(owner integer, "to" text) OWNER TO x`, "ALTER LARGE OBJECT 5 OWNER TO x",
		`ALTER OPERATOR s.+ (integer, NONE) OWNER TO x`,
	} {
		o, err := pgddl.ParseOwner(sql)
		if err != nil || o.String() != sql {
			t.Errorf("%s: %v, %v", sql, o, err)
		}
	}
	for _, sql := range []string{"ALTER TABLE t RENAME TO x", "ALTER TABLE t OWNER TO SESSION_USER", "DROP OWNED BY x", "ALTER TABLE t OWNER TO public"} {
		if _, err := pgddl.ParseOwner(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%s: %v, want ErrShape", sql, err)
		}
	}
}
