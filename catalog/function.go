package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Function is a function, window function, procedure or aggregate.
type Function struct {
	Meta
	schemaOID uint32
	kind      byte // prokind
	argTypes  []uint32
	acl       acl
	loader    *loader
	extDeps   []string

	args, identityArgs, result, body, bin, source     string
	language, support, cost, rows                     string
	volatile, parallel                                byte
	strict, definer, leakproof, returnsSet, isWithBin bool
	transforms, config                                []string
	agg                                               aggregateFacts
}

// functionQuery lists functions. Of pg_catalog's it takes those whose
// privileges were changed and those that user-made casts or transforms use.
func (l *loader) functionQuery() query { return l.procQuery("FUNCTION objects", false) }

func (l *loader) aggregateQuery() query { return l.procQuery("AGGREGATE objects", true) }

func (l *loader) procQuery(what string, aggregates bool) query {
	kind, rk := "p.prokind <> 'a'", rankFunction
	used := ` OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.oid >= 16384 AND c.castfunc = p.oid)
  OR EXISTS (SELECT FROM pg_catalog.pg_transform t WHERE t.oid >= 16384 AND p.oid IN (t.trffromsql, t.trftosql))`
	internal := ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')`
	if aggregates {
		kind, rk, used, internal = "p.prokind = 'a'", rankAggregate, "", ""
	}
	return query{
		what: what,
		sql: `SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.prokind::text, p.proargtypes::oid[], p.proacl::text[], pg_catalog.acldefault('f', p.proowner)::text[],
  pg_catalog.pg_get_function_identity_arguments(p.oid)
FROM pg_catalog.pg_proc p
LEFT JOIN pg_catalog.pg_init_privs pip ON pip.objoid = p.oid AND pip.classoid = 'pg_catalog.pg_proc'::regclass AND pip.objsubid = 0
WHERE ` + kind + internal + `
  AND (p.pronamespace <> (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = 'pg_catalog')
  OR p.proacl IS DISTINCT FROM pip.initprivs` + used + `)
ORDER BY p.oid`,
		scan: func(row pgx.Rows) error {
			f := &Function{loader: l}
			var oid, owner uint32
			var kind string
			if err := row.Scan(&oid, &f.Name, &f.schemaOID, &owner, &kind, &f.argTypes, &f.acl.items, &f.acl.base, &f.identityArgs); err != nil {
				return err
			}
			f.kind, f.Section, f.Schema, f.Owner = kind[0], PreData, l.schema(f.schemaOID), l.role(owner)
			switch f.kind {
			case 'p':
				f.Kind = "PROCEDURE"
			case 'a':
				f.Kind = "AGGREGATE"
			default:
				f.Kind = "FUNCTION"
			}
			if f.acl.items != nil {
				f.has |= partACL
			}
			l.add(f, ID{classProc, oid}, rk)
			l.procs[oid] = f
			l.selectInSchema(f, f.schemaOID)
			return nil
		},
	}
}

func (l *loader) wantedFunctions(aggregates bool) string {
	var list []uint32
	for oid, f := range l.procs {
		if f.Wanted() && (f.kind == 'a') == aggregates {
			list = append(list, oid)
		}
	}
	return oids(list)
}

func (l *loader) functionBodyQuery() query {
	return query{
		what: "FUNCTION definitions",
		sql: `SELECT p.oid, pg_catalog.pg_get_function_arguments(p.oid), coalesce(pg_catalog.pg_get_function_result(p.oid), ''),
  lan.lanname, p.provolatile::text, p.proparallel::text, p.proisstrict, p.prosecdef, p.proleakproof, p.proretset,
  p.procost::text, p.prorows::text, ` + l.since(12, "p.prosupport::text", "'-'") + `, p.proconfig, coalesce(p.probin, ''), p.probin IS NOT NULL, coalesce(p.prosrc, ''),
  ` + l.since(14, "coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), '')", "''") + `,
  ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM pg_catalog.unnest(p.protrftypes) WITH ORDINALITY AS u(t, n) ORDER BY n)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language lan ON lan.oid = p.prolang
WHERE p.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY p.oid`,
		args: []any{l.wantedFunctions(false)},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var x Function
			var volatile, parallel string
			if err := row.Scan(&oid, &x.args, &x.result, &x.language, &volatile, &parallel, &x.strict, &x.definer, &x.leakproof, &x.returnsSet,
				&x.cost, &x.rows, &x.support, &x.config, &x.bin, &x.isWithBin, &x.source, &x.body, &x.transforms); err != nil {
				return err
			}
			f := l.procs[oid]
			f.args, f.result, f.language, f.volatile, f.parallel = x.args, x.result, x.language, char(volatile), char(parallel)
			f.strict, f.definer, f.leakproof, f.returnsSet = x.strict, x.definer, x.leakproof, x.returnsSet
			f.cost, f.rows, f.support, f.config, f.bin, f.isWithBin, f.source, f.body, f.transforms = x.cost, x.rows, x.support, x.config, x.bin, x.isWithBin, x.source, x.body, x.transforms
			return nil
		},
	}
}

// signature is the quoted name without its schema, with the arguments that
// tell overloads apart.
func (f *Function) signature() string {
	args := f.identityArgs
	if f.kind == 'a' && args == "" {
		args = "*"
	}
	return quote.Ident(f.Name) + "(" + args + ")"
}

// tag names the argument types only and does not quote.
func (f *Function) tag() string {
	types := make([]string, len(f.argTypes))
	for i, t := range f.argTypes {
		types[i] = f.loader.typeName(t)
	}
	if f.kind == 'a' && len(types) == 0 {
		return f.Name + "(*)"
	}
	return f.Name + "(" + strings.Join(types, ", ") + ")"
}

// Create implements Object.
func (f *Function) Create() string {
	if f.kind == 'a' {
		return f.createAggregate()
	}
	var s sqlText
	s.add("CREATE ", f.Kind, " ", quote.Ident(f.Schema), ".", quote.Ident(f.Name), "(", f.args, ")")
	if f.result != "" {
		s.add(" RETURNS ", f.result)
	}
	s.add("\n    LANGUAGE ", quote.Ident(f.language))
	for i, t := range f.transforms {
		if i == 0 {
			s.add(" TRANSFORM ")
		} else {
			s.add(", ")
		}
		s.add("FOR TYPE ", t)
	}
	flag := func(on bool, word string) {
		if on {
			s.add(" ", word)
		}
	}
	flag(f.kind == 'w', "WINDOW")
	flag(f.volatile == 'i', "IMMUTABLE")
	flag(f.volatile == 's', "STABLE")
	flag(f.strict, "STRICT")
	flag(f.definer, "SECURITY DEFINER")
	flag(f.leakproof, "LEAKPROOF")
	defaultCost := "100"
	if f.language == "internal" || f.language == "c" {
		defaultCost = "1"
	}
	flag(f.cost != "0" && f.cost != defaultCost, "COST "+f.cost)
	flag(f.returnsSet && f.rows != "0" && f.rows != "1000", "ROWS "+f.rows)
	flag(f.support != "-", "SUPPORT "+f.support)
	flag(f.parallel == 's', "PARALLEL SAFE")
	flag(f.parallel == 'r', "PARALLEL RESTRICTED")
	for _, c := range f.config {
		s.add("\n    ", settingSQL(c))
	}
	s.add("\n    ", f.as(), ";\n", dependsOnExtension(f.Kind, quote.Ident(f.Schema)+"."+f.signature(), f.extDeps))
	return s.String()
}

// as is the body: a parsed SQL body, an object file's symbol or a string.
func (f *Function) as() string {
	switch {
	case f.body != "":
		return f.body
	case f.isWithBin && f.bin != "-":
		out := "AS " + quote.Literal(f.bin)
		if f.source != "" {
			if strings.ContainsAny(f.source, `'\`) {
				out += ", " + quote.Dollar(f.source)
			} else {
				out += ", " + quote.Literal(f.source)
			}
		}
		return out
	}
	return "AS " + quote.Dollar(f.source)
}

// Drop implements Object.
func (f *Function) Drop() string {
	return "DROP " + f.Kind + " " + quote.Ident(f.Schema) + "." + f.signature() + ";\n"
}
