package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A TextSearch is a text search parser, template, dictionary or configuration.
type TextSearch struct {
	statement
	mappings []tokenMapping // of a configuration
}

// A tokenMapping says which dictionaries a kind of token is looked up in.
type tokenMapping struct {
	token        string
	dictionaries []string
}

// textSearch registers an object whose definition is a list of options.
func (l *loader) textSearch(x *TextSearch, kind string, class, oid uint32, rk rank, schema, owner uint32, options ...string) {
	l.place(x, ID{class, oid}, rk, PreData, schema, owner)
	x.describe(kind, "")
	var list []string
	for i := 0; i < len(options); i += 2 {
		if options[i+1] != "-" && options[i+1] != "" {
			list = append(list, options[i]+options[i+1])
		}
	}
	x.create = "CREATE " + kind + " " + x.QualifiedName() + " (\n    " + strings.Join(list, ",\n    ") + " );\n"
}

func (l *loader) parserQuery() query {
	return query{
		what: "TEXT SEARCH PARSER objects",
		sql: `SELECT p.oid, p.prsname, p.prsnamespace, p.prsstart::text, p.prstoken::text, p.prsend::text, p.prsheadline::text, p.prslextype::text
FROM pg_catalog.pg_ts_parser p WHERE p.oid >= 16384 ORDER BY p.oid`,
		scan: func(row pgx.Rows) error {
			x := &TextSearch{}
			var oid, schema uint32
			var start, token, end, headline, types string
			if err := row.Scan(&oid, &x.Name, &schema, &start, &token, &end, &headline, &types); err != nil {
				return err
			}
			l.textSearch(x, "TEXT SEARCH PARSER", classTSParser, oid, rankTSParser, schema, 0,
				"START = ", start, "GETTOKEN = ", token, "END = ", end, "HEADLINE = ", headline, "LEXTYPES = ", types)
			return nil
		},
	}
}

func (l *loader) templateQuery() query {
	return query{
		what: "TEXT SEARCH TEMPLATE objects",
		sql: `SELECT t.oid, t.tmplname, t.tmplnamespace, t.tmplinit::text, t.tmpllexize::text
FROM pg_catalog.pg_ts_template t WHERE t.oid >= 16384 ORDER BY t.oid`,
		scan: func(row pgx.Rows) error {
			x := &TextSearch{}
			var oid, schema uint32
			var begin, lexize string
			if err := row.Scan(&oid, &x.Name, &schema, &begin, &lexize); err != nil {
				return err
			}
			l.textSearch(x, "TEXT SEARCH TEMPLATE", classTSTemplate, oid, rankTSTemplate, schema, 0, "INIT = ", begin, "LEXIZE = ", lexize)
			return nil
		},
	}
}

// dictionaryQuery reads dictionaries; dictinitoption is SQL already.
func (l *loader) dictionaryQuery() query {
	return query{
		what: "TEXT SEARCH DICTIONARY objects",
		sql: `SELECT d.oid, d.dictname, d.dictnamespace, d.dictowner, n.nspname, t.tmplname, coalesce(d.dictinitoption, '')
FROM pg_catalog.pg_ts_dict d JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate JOIN pg_catalog.pg_namespace n ON n.oid = t.tmplnamespace
WHERE d.oid >= 16384 ORDER BY d.oid`,
		scan: func(row pgx.Rows) error {
			x := &TextSearch{}
			var oid, schema, owner uint32
			var templateSchema, template, options string
			if err := row.Scan(&oid, &x.Name, &schema, &owner, &templateSchema, &template, &options); err != nil {
				return err
			}
			l.textSearch(x, "TEXT SEARCH DICTIONARY", classTSDict, oid, rankTSDict, schema, owner,
				"TEMPLATE = ", quote.Qualified(templateSchema, template), "", options)
			return nil
		},
	}
}

func (l *loader) configurationQuery() query {
	return query{
		what: "TEXT SEARCH CONFIGURATION objects",
		sql: `SELECT c.oid, c.cfgname, c.cfgnamespace, c.cfgowner, n.nspname, p.prsname
FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_catalog.pg_namespace n ON n.oid = p.prsnamespace
WHERE c.oid >= 16384 ORDER BY c.oid`,
		scan: func(row pgx.Rows) error {
			x := &TextSearch{}
			var oid, schema, owner uint32
			var parserSchema, parser string
			if err := row.Scan(&oid, &x.Name, &schema, &owner, &parserSchema, &parser); err != nil {
				return err
			}
			l.textSearch(x, "TEXT SEARCH CONFIGURATION", classTSConfig, oid, rankTSConfig, schema, owner, "PARSER = ", quote.Qualified(parserSchema, parser))
			return nil
		},
	}
}

// mappingQuery reads the mappings of configurations. The names of the tokens
// come from the parser itself.
func (l *loader) mappingQuery() query {
	return query{
		what: "mappings of TEXT SEARCH CONFIGURATION objects",
		sql: `SELECT m.mapcfg, m.maptokentype, (SELECT t.alias FROM pg_catalog.ts_token_type(c.cfgparser) t WHERE t.tokid = m.maptokentype), m.mapdict::pg_catalog.regdictionary::text
FROM pg_catalog.pg_ts_config_map m JOIN pg_catalog.pg_ts_config c ON c.oid = m.mapcfg
WHERE c.oid >= 16384 ORDER BY m.mapcfg, m.maptokentype, m.mapseqno`,
		scan: func(row pgx.Rows) error {
			var oid uint32
			var number int
			var token, dictionary string
			if err := row.Scan(&oid, &number, &token, &dictionary); err != nil {
				return err
			}
			x, ok := l.byID[ID{classTSConfig, oid}].(*TextSearch)
			if !ok {
				return nil
			}
			if n := len(x.mappings); n == 0 || x.mappings[n-1].token != token {
				x.mappings = append(x.mappings, tokenMapping{token: token})
			}
			m := &x.mappings[len(x.mappings)-1]
			m.dictionaries = append(m.dictionaries, dictionary)
			return nil
		},
	}
}

// Create implements Object.
func (x *TextSearch) Create() string {
	sql := x.create
	for _, m := range x.mappings {
		sql += "\nALTER TEXT SEARCH CONFIGURATION " + x.QualifiedName() + "\n    ADD MAPPING FOR " + quote.Ident(m.token) + " WITH " + strings.Join(m.dictionaries, ", ") + ";\n"
	}
	return sql
}
