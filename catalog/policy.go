package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Policy is a row-level-security policy or, without a command, the switch
// that turns row security on for a table.
type Policy struct {
	Meta
	table        *Relation
	enables      bool
	command      byte
	permissive   bool
	roles        *string // nil is PUBLIC
	using, check *string
}

func (l *loader) policyQuery(rels string) query {
	return query{
		what: "POLICY objects",
		sql: `SELECT p.oid, p.polrelid, p.polname, p.polcmd::text, p.polpermissive,
  CASE WHEN p.polroles = '{0}' THEN NULL ELSE pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(r.rolname) FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)), ', ') END,
  pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_catalog.pg_policy p WHERE p.polrelid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY p.polrelid, p.polname`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			p := &Policy{}
			var oid, rel uint32
			var command string
			if err := row.Scan(&oid, &rel, &p.Name, &command, &p.permissive, &p.roles, &p.using, &p.check); err != nil {
				return err
			}
			p.command = command[0]
			l.addPolicy(p, l.rels[rel], ID{classPolicy, oid})
			return nil
		},
	}
}

// rowSecurity adds the switches.
func (l *loader) rowSecurity() {
	for _, r := range l.relList {
		if r.isTable() && r.rowSecurity {
			p := &Policy{enables: true}
			p.Name = r.Name
			l.addPolicy(p, r, ID{})
			p.dependOn(r.DumpID)
			p.RawDeps = []int{r.DumpID}
			p.ID = ID{0, r.ID.OID}
		}
	}
}

func (l *loader) addPolicy(p *Policy, r *Relation, id ID) {
	p.table = r
	p.Kind, p.Section, p.Schema, p.Owner = "POLICY", PostData, r.Schema, r.Owner
	if p.enables {
		p.Kind = "ROW SECURITY"
	} else {
		p.Tag = r.Name + " " + p.Name
	}
	if r.want&partPolicy != 0 && l.members[r.ID] == nil {
		p.want = partAll
	}
	l.add(p, id, rankPolicy)
}

var policyCommands = map[byte]string{'*': "", 'r': " FOR SELECT", 'a': " FOR INSERT", 'w': " FOR UPDATE", 'd': " FOR DELETE"}

// Create implements Object.
func (p *Policy) Create() string {
	if p.enables {
		return "ALTER TABLE " + p.table.QualifiedName() + " ENABLE ROW LEVEL SECURITY;"
	}
	var s sqlText
	s.add("CREATE POLICY ", quote.Ident(p.Name), " ON ", p.table.QualifiedName())
	if !p.permissive {
		s.add(" AS RESTRICTIVE")
	}
	s.add(policyCommands[p.command])
	if p.roles != nil {
		s.add(" TO ", *p.roles)
	}
	if p.using != nil {
		s.add(" USING (", *p.using, ")")
	}
	if p.check != nil {
		s.add(" WITH CHECK (", *p.check, ")")
	}
	s.add(";\n")
	return s.String()
}

// Drop implements Object.
func (p *Policy) Drop() string {
	if p.enables {
		return ""
	}
	return "DROP POLICY " + quote.Ident(p.Name) + " ON " + p.table.QualifiedName() + ";\n"
}
