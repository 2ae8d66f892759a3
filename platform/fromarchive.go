package platform

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// FromArchive returns what an archive tells of the database that it was made
// from, for NewPlan: what its manifest keeps of Detect's facts. What only
// targets are asked for is empty, and so are Host and Changes.
//
// m is nil for archives that pghaul did not make: they know nothing of roles but
// their names, which are then created without LOGIN. Nobody knows who read the
// source of these, and of archives without facts: Facts.User is the owner of the database,
// whose duties become those of the target's user. The caller may know better,
// and may set the platform, which is told from the roles that are mentioned.
func FromArchive(h archive.Header, m *archive.Manifest, entries []archive.Entry) *Facts {
	unread := ""
	if m != nil && len(m.Facts) > 0 {
		f, err := fromStored(m)
		if err == nil {
			return f
		}
		unread = fmt.Sprintf("the facts in the archive's manifest: %v", err)
	}
	f := &Facts{Database: h.Database, Size: -1, Changes: -1, Parameters: map[string]Parameter{}, Time: h.Created}
	if unread != "" {
		f.Unread = append(f.Unread, unread)
	}
	var major, minor int
	if n, _ := fmt.Sscanf(h.ServerVersion, "%d.%d", &major, &minor); n > 0 {
		f.Version = major*10000 + minor
	}
	var platform Name
	if m != nil {
		f.fromManifest(m)
		platform = Name(m.Source.Platform)
	}
	for i := range entries {
		f.fromEntry(&entries[i])
	}
	f.mentioned(entries, m != nil)
	slices.SortFunc(f.Roles, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	var seen signs
	for _, r := range f.Roles {
		seen.roles = append(seen.roles, r.Name)
	}
	if _, err := platform.service(); err != nil {
		platform = ""
	}
	f.recognise(platform, seen)
	if f.Platform == AzureSingle && platform == "" && !seen.role("azure_superuser") {
		f.recognise(AzureFlexible, seen) // its superuser need not be mentioned
	}
	if s, err := f.Platform.service(); err == nil && !s.own(f.Owner, f.Privileged) {
		f.User = Role{Name: f.Owner, Inherit: true, ConnLimit: -1}
		if r := f.role(f.Owner); r != nil {
			f.User = *r
		}
	}
	return f
}

func (f *Facts) fromManifest(m *archive.Manifest) {
	if m.Source.ServerVersion > 0 {
		f.Version = m.Source.ServerVersion
	}
	if m.Source.Database != "" {
		f.Database = m.Source.Database
	}
	f.Locale.Encoding, f.LSN = m.Source.Encoding, m.Source.LSN
	for _, r := range m.Roles {
		has := func(a string) bool { return slices.Contains(r.Attributes, a) }
		f.Roles = append(f.Roles, Role{
			Name: r.Name, Superuser: has("SUPERUSER"), Inherit: !has("NOINHERIT"), CreateRole: has("CREATEROLE"), CreateDB: has("CREATEDB"),
			Login: has("LOGIN"), Replication: has("REPLICATION"), BypassRLS: has("BYPASSRLS"), ConnLimit: -1,
		})
	}
	for _, x := range m.Memberships {
		inherit := true
		if r := f.role(x.Member); r != nil {
			inherit = r.Inherit
		}
		f.Memberships = append(f.Memberships, Membership{Role: x.Role, Member: x.Member, Admin: x.Admin, Inherit: inherit, Set: true})
	}
}

// fromEntry reads the facts that stand in entries about the database itself.
func (f *Facts) fromEntry(e *archive.Entry) {
	switch e.Kind {
	case "DATABASE":
		f.Owner = e.Owner
		if d, err := pgddl.ParseDatabase(e.Create); err == nil {
			f.Database = d.Name
			l := &f.Locale
			l.Encoding = cmp.Or(d.Option("ENCODING"), l.Encoding)
			l.Provider = cmp.Or(d.Option("LOCALE_PROVIDER"), "libc")
			l.Collate = cmp.Or(d.Option("LC_COLLATE"), d.Option("LOCALE"))
			l.CType = cmp.Or(d.Option("LC_CTYPE"), d.Option("LOCALE"))
			l.Locale = cmp.Or(d.Option("ICU_LOCALE"), d.Option("BUILTIN_LOCALE"))
		}
	case "DATABASE PROPERTIES":
		list, err := pgddl.Split(e.Create)
		if err != nil {
			f.Unread = append(f.Unread, fmt.Sprintf("settings of the database: %v", err))
			return
		}
		for _, stmt := range list {
			if m := connectionLimit.FindStringSubmatch(stmt); m != nil {
				f.ConnLimit, _ = strconv.Atoi(m[1]) // too many for an int are any number
			}
			if s, err := pgddl.ParseSetting(stmt); err == nil {
				f.Settings = append(f.Settings, Setting{Database: f.Database, Role: s.Role, Name: s.Name, Value: stored(s)})
			}
		}
	case "EXTENSION":
		x := Extension{Name: e.Tag}
		if def, err := pgddl.ParseExtension(e.Create); err == nil {
			x.Schema, x.Version = def.Schema, def.Version
		}
		f.Extensions = append(f.Extensions, x)
	}
}

// connectionLimit finds the limit of connections in what pg_dump says of a
// database: "ALTER DATABASE x CONNECTION LIMIT = 5".
var connectionLimit = regexp.MustCompile(`^ALTER DATABASE .* CONNECTION LIMIT = ([0-9]+)$`)

// stored writes the values of a setting as pg_db_role_setting has them: of a list
// each quoted where it needs to be.
func stored(s *pgddl.Setting) string {
	values := s.Values()
	if len(values) == 1 && s.Name != "search_path" {
		return values[0]
	}
	out := make([]string, len(values))
	for i, v := range values {
		if out[i] = v; v == "" || strings.ToLower(v) != v || strings.ContainsAny(v, ` ,"`) {
			out[i] = quote.Ident(v)
		}
	}
	return strings.Join(out, ", ")
}

// mentioned adds the roles that entries name and the manifest does not.
func (f *Facts) mentioned(entries []archive.Entry, known bool) {
	have := map[string]bool{"": true}
	for _, r := range f.Roles {
		have[r.Name] = true
	}
	var added []string
	add := func(name string) {
		if !have[name] {
			have[name] = true
			f.Roles = append(f.Roles, Role{Name: name, Inherit: true, ConnLimit: -1})
			added = append(added, name)
		}
	}
	addAll := func(roles []pgddl.Role) {
		for _, r := range roles {
			if !r.Public {
				add(r.Name)
			}
		}
	}
	for i := range entries {
		e := &entries[i]
		add(e.Owner)
		switch e.Kind {
		case "ACL":
			if items, err := pgddl.ParseACL(e.Create); err == nil {
				for _, a := range items {
					add(a.Grantor)
					addAll(a.Grant.Grantees)
				}
			}
		case "DEFAULT ACL":
			if list, err := pgddl.ParseDefaultACLs(e.Create); err == nil {
				for _, d := range list {
					add(d.Role)
					addAll(d.Grant.Grantees)
				}
			}
		case "POLICY":
			if p, err := pgddl.ParsePolicy(e.Create); err == nil {
				addAll(p.Roles)
			}
		case "USER MAPPING":
			if u, err := pgddl.ParseUserMapping(e.Create); err == nil {
				addAll([]pgddl.Role{u.Role})
			}
		}
	}
	for _, s := range f.Settings {
		add(s.Role)
	}
	if !known && len(added) > 0 {
		f.Unread = append(f.Unread, "attributes and memberships of roles: the archive has their names only, so that those which are created may not log in")
	}
}
