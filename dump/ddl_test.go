package dump_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/quote"
)

// checkDDL reads an entry with the parser of its kind. What the parser can
// write must be the entry's own text, and the names it found the entry's.
// Every archive that these tests compare goes through it.
func checkDDL(e archive.Entry) error {
	if e.Kind == "BLOB METADATA" { // a list of numbers
		return nil
	}
	for _, sql := range []string{e.Create, e.Drop} {
		if _, err := pgddl.Split(sql); err != nil {
			return err
		}
		same, err := pgddl.ReplaceCollation(sql, func(name string) (string, bool) { return name, true })
		if err != nil {
			return err
		}
		if same != sql {
			return fmt.Errorf("with each collation replaced by itself it is\n%s", same)
		}
	}
	if e.Create == "" || e.Kind == "SCHEMA" {
		return nil
	}
	parse, ok := ddl[e.Kind]
	if !ok {
		return nil
	}
	text, name, err := parse(e.Create)
	if err != nil {
		return err
	}
	original := e.Create
	if e.Kind == "DEFAULT ACL" { // pg_dump before 16 writes two blanks where other ACLs have a name
		original = strings.NewReplacer("  TO ", " TO ", "  FROM ", " FROM ").Replace(original)
	}
	if text != "" && strings.TrimRight(text, ";\n") != strings.TrimRight(original, ";\n") {
		return fmt.Errorf("it is written as\n%s", text)
	}
	switch name {
	case "", e.Tag, quote.Qualified(e.Namespace, e.Tag):
		return nil
	}
	if e.Tag == name || strings.HasSuffix(e.Tag, " "+name) {
		return nil
	}
	return fmt.Errorf("its name is read as %s", name)
}

// ddl holds for a kind of entry how it is read: the text written from what was
// read and the name found, each "" if the kind has none.
var ddl = map[string]func(def string) (text, name string, err error){
	"ACL": func(def string) (string, string, error) {
		items, err := pgddl.ParseACL(def)
		return pgddl.FormatACL(items), "", err
	},
	"DEFAULT ACL": func(def string) (string, string, error) {
		list, err := pgddl.ParseDefaultACLs(def)
		return pgddl.FormatDefaultACLs(list), "", err
	},
	"POLICY":    written(pgddl.ParsePolicy, func(p *pgddl.Policy) string { return p.Name }),
	"EXTENSION": written(pgddl.ParseExtension, func(x *pgddl.Extension) string { return x.Name }),
	"DATABASE":  written(pgddl.ParseDatabase, func(d *pgddl.Database) string { return d.Name }),
	"DATABASE PROPERTIES": func(def string) (string, string, error) {
		list, err := pgddl.Split(def)
		var out string
		for _, stmt := range list {
			if s, err := pgddl.ParseSetting(stmt); err == nil {
				out += s.String() + ";\n"
				continue
			}
			o, err := pgddl.ParseDatabaseOption(stmt)
			if err != nil {
				return "", "", err
			}
			out += o.String() + ";\n"
		}
		return out, "", err
	},
	"COLLATION":                 written(pgddl.ParseCollation, func(c *pgddl.Collation) string { return c.Name }),
	"USER MAPPING":              written(pgddl.ParseUserMapping, nil),
	"SERVER":                    read(pgddl.ParseServer, func(s *pgddl.Server) string { return s.Name }),
	"FOREIGN DATA WRAPPER":      read(pgddl.ParseWrapper, func(w *pgddl.Wrapper) string { return w.Name }),
	"TABLE":                     read(pgddl.ParseTable, func(t *pgddl.Table) string { return t.Name }),
	"FOREIGN TABLE":             read(pgddl.ParseTable, func(t *pgddl.Table) string { return t.Name }),
	"INDEX":                     read(pgddl.ParseIndex, func(x *pgddl.Index) string { return x.Name }),
	"CONSTRAINT":                read(pgddl.ParseConstraint, func(k *pgddl.Constraint) string { return k.Name }),
	"CHECK CONSTRAINT":          read(pgddl.ParseConstraint, func(k *pgddl.Constraint) string { return k.Name }),
	"FK CONSTRAINT":             read(pgddl.ParseConstraint, func(k *pgddl.Constraint) string { return k.Name }),
	"FUNCTION":                  read(pgddl.ParseFunction, nil),
	"PROCEDURE":                 read(pgddl.ParseFunction, nil),
	"COMMENT":                   read(pgddl.ParseComment, nil),
	"TYPE":                      read(pgddl.ParseType, func(t *pgddl.Type) string { return t.Name }),
	"SHELL TYPE":                read(pgddl.ParseType, func(t *pgddl.Type) string { return t.Name }),
	"DOMAIN":                    read(pgddl.ParseType, func(t *pgddl.Type) string { return t.Name }),
	"OPERATOR CLASS":            read(pgddl.ParseOperatorClass, func(o *pgddl.OperatorClass) string { return o.Name }),
	"OPERATOR FAMILY":           read(pgddl.ParseOperatorClass, func(o *pgddl.OperatorClass) string { return o.Name }),
	"ACCESS METHOD":             read(pgddl.ParseAccessMethod, func(m *pgddl.AccessMethod) string { return m.Name }),
	"CAST":                      read(pgddl.ParseCast, nil),
	"PROCEDURAL LANGUAGE":       read(pgddl.ParseLanguage, func(l *pgddl.Language) string { return l.Name }),
	"TEXT SEARCH PARSER":        read(pgddl.ParseTextSearch, func(t *pgddl.TextSearch) string { return t.Name }),
	"TEXT SEARCH TEMPLATE":      read(pgddl.ParseTextSearch, func(t *pgddl.TextSearch) string { return t.Name }),
	"TEXT SEARCH DICTIONARY":    read(pgddl.ParseTextSearch, func(t *pgddl.TextSearch) string { return t.Name }),
	"TEXT SEARCH CONFIGURATION": read(pgddl.ParseTextSearch, func(t *pgddl.TextSearch) string { return t.Name }),
	"EVENT TRIGGER":             read(pgddl.ParseEventTrigger, func(e *pgddl.EventTrigger) string { return e.Name }),
	"PUBLICATION":               read(pgddl.ParsePublication, func(p *pgddl.Publication) string { return p.Name }),
	"PUBLICATION TABLE":         read(pgddl.ParsePublicationMember, nil),
	"PUBLICATION TABLES IN SCHEMA": read(pgddl.ParsePublicationMember, func(m *pgddl.PublicationMember) string {
		return m.Schema
	}),
	"SUBSCRIPTION": read(pgddl.ParseSubscription, func(s *pgddl.Subscription) string { return s.Name }),
	"SECURITY LABEL": func(def string) (string, string, error) {
		list, err := pgddl.Split(def)
		for _, stmt := range list {
			if _, err := pgddl.ParseLabel(stmt); err != nil {
				return "", "", err
			}
		}
		return "", "", err
	},
}

func read[T any](parse func(string) (*T, error), name func(*T) string) func(string) (string, string, error) {
	return func(def string) (string, string, error) {
		x, err := parse(def)
		if err != nil || name == nil {
			return "", "", err
		}
		return "", name(x), nil
	}
}

func written[T any, P interface {
	*T
	String() string
}](parse func(string) (P, error), name func(P) string,
) func(string) (string, string, error) {
	return func(def string) (string, string, error) {
		x, err := parse(def)
		if err != nil {
			return "", "", err
		}
		if name == nil {
			return x.String(), "", nil
		}
		return x.String(), name(x), nil
	}
}

// TestAzureStatements reads the statements of the customer's database on a
// managed service, as pghaul and as pg_dump 15 and 18 write them.
func TestAzureStatements(t *testing.T) {
	t.Parallel()
	s := pgtest.Azure(t)
	compareWithPgDump(t, s, "appdb", dump.Options{})
	old := filepath.Join(pgtest.TempDir(t), "old")
	pgtest.OracleOf(t, 15).Dump(t, "-Fd", "-s", "-f", old, "-d", s.DSN("appdb"))
	comparable(t, old)
}
