package platform

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// planned is a live source with the entries of a plan in the place of its own.
type planned struct {
	restore.Source
	entries []archive.Entry
}

func (s planned) Entries() []archive.Entry { return s.entries }

// listing writes a plan for people who read test failures and golden files.
func listing(p *Plan) string {
	var b strings.Builder
	line := func(v Verdict, name, reason string, warnings []string) {
		fmt.Fprintf(&b, "%-7s %s", v, name)
		if reason != "" {
			b.WriteString(" — " + reason)
		}
		b.WriteString("\n")
		for _, w := range warnings {
			b.WriteString("          ! " + w + "\n")
		}
	}
	for i := range p.Roles {
		r := &p.Roles[i]
		line(r.Verdict, fmt.Sprintf("role %s → %q", r.From, r.To), r.Reason, r.Warnings)
	}
	for i := range p.Memberships {
		m := &p.Memberships[i]
		line(m.Verdict, fmt.Sprintf("membership %+v", m.Membership), m.Reason, nil)
	}
	for i := range p.Settings {
		s := &p.Settings[i]
		line(s.Verdict, fmt.Sprintf("setting %+v", s.Setting), s.Reason, nil)
	}
	for i := range p.Extensions {
		x := &p.Extensions[i]
		line(x.Verdict, "extension "+x.Name, x.Reason+" "+strings.Join(x.Dependents, ", "), x.Warnings)
	}
	for _, g := range p.Grants {
		line("grant", g.Role+" in "+g.Schema, "", nil)
		for l := range strings.Lines(g.SQL) {
			b.WriteString("          | " + l)
		}
	}
	for _, d := range p.Drops {
		line("drop", d.SQL, "", nil)
	}
	for i := range p.Items {
		it := &p.Items[i]
		line(it.Verdict, fmt.Sprintf("%s %s.%s owner %q", it.Kind, it.Schema, it.Name, it.Owner), it.Reason, it.Warnings)
		for l := range strings.Lines(it.SQL) {
			b.WriteString("          | " + l)
		}
	}
	for _, n := range p.Notes {
		line(n.Verdict, "note", n.Text, nil)
	}
	b.WriteString(p.CronScript)
	return b.String()
}

func open(t *testing.T, dsn string) *dump.Live {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	live, err := dump.Open(t.Context(), cfg, dump.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(live.Close)
	return live
}

// prepare makes what a plan's roles need, in the plainest way that works for a
// user who is no superuser.
func prepare(t *testing.T, dsn string, plan *Plan) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	run := func(sql string) {
		t.Helper()
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for i := range plan.Roles {
		r := &plan.Roles[i]
		if r.Verdict == Skip || r.Exists {
			continue
		}
		options := ""
		if r.Role.Login {
			options += " LOGIN"
		}
		if !r.Role.Inherit {
			options += " NOINHERIT"
		}
		run("CREATE ROLE " + quote.Ident(r.To) + options)
		run("GRANT " + quote.Ident(r.To) + " TO CURRENT_USER")
		run("GRANT CREATE ON DATABASE " + quote.Ident(plan.Target.Database) + " TO " + quote.Ident(r.To))
		run("GRANT CREATE ON SCHEMA public TO " + quote.Ident(r.To))
	}
	for i := range plan.Memberships {
		if m := &plan.Memberships[i]; m.Verdict != Skip {
			admin := ""
			if m.Membership.Admin {
				admin = " WITH ADMIN OPTION"
			}
			run("GRANT " + quote.Ident(m.Membership.Role) + " TO " + quote.Ident(m.Membership.Member) + admin)
		}
	}
	for i := range plan.Settings {
		s := &plan.Settings[i]
		if s.Verdict == Skip {
			continue
		}
		value := quote.Literal(s.Setting.Value)
		if s.Setting.Name == "search_path" {
			value = s.Setting.Value
		}
		of := "DATABASE " + quote.Ident(s.Setting.Database)
		if s.Setting.Role != "" {
			of = "ROLE " + quote.Ident(s.Setting.Role)
			if s.Setting.Database != "" {
				of += " IN DATABASE " + quote.Ident(s.Setting.Database)
			}
		}
		run("ALTER " + of + " SET " + s.Setting.Name + " TO " + value)
	}
}
