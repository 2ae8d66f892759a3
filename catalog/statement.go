package catalog

import "github.com/pghaul/pghaul/internal/quote"

// A statement is what the kinds of objects share whose definition is known as
// soon as their row is read; they embed it.
type statement struct {
	Meta
	create, drop string
	// about and aboutName are the kind and the quoted name without its schema in
	// COMMENT ON and SECURITY LABEL ON.
	about, aboutName string
	acl              acl
}

// Create implements Object.
func (s *statement) Create() string { return s.create }

// Drop implements Object.
func (s *statement) Drop() string { return s.drop }

func (s *statement) commentOn() (kind, name string) { return s.about, s.aboutName }

// describe fills in what is derived from the kind and the name: the drop, and
// how comments call the object. detail follows the name in both ("USING
// btree"), "" for nothing.
func (s *statement) describe(kind, detail string) {
	s.Kind, s.about, s.aboutName = kind, kind, quote.Ident(s.Name)+detail
	s.drop = "DROP " + kind + " " + s.QualifiedName() + detail + ";\n"
}

// place registers an object that follows its schema, or that is taken when
// nothing was named to be included if schema is 0. owner is 0 for kinds
// without one. The object's name is set; what describe derives may follow.
func (l *loader) place(o Object, id ID, rk rank, section Section, schema, owner uint32) {
	m := o.Info()
	m.Section, m.Schema = section, l.schema(schema)
	if owner != 0 {
		m.Owner = l.role(owner)
	}
	l.add(o, id, rk)
	l.selectInSchema(o, schema)
}

// optionList is the server's side of OPTIONS (…): a column of type text[] in
// the order of the names, quoted.
func optionList(column string) string {
	return `coalesce(pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(option_name) || ' ' || pg_catalog.quote_literal(option_value)
    FROM pg_catalog.pg_options_to_table(` + column + `) ORDER BY option_name), E',\n    '), '')`
}

// optionClause writes OPTIONS with what optionList read, "" for none.
func optionClause(before, options string) string {
	if options == "" {
		return ""
	}
	return before + "OPTIONS (\n    " + options + "\n)"
}

// objectQueries list the objects of the kinds that are read whole at once.
// They come after functions and types, which some of them name.
func (l *loader) objectQueries() []query {
	return []query{
		l.languageQuery(), l.operatorQuery(), l.accessMethodQuery(), l.opclassQuery(), l.opfamilyQuery(), l.opclassMemberQuery(),
		l.parserQuery(), l.templateQuery(), l.dictionaryQuery(), l.configurationQuery(), l.mappingQuery(),
		l.wrapperQuery(), l.serverQuery(), l.userMappingQuery(), l.foreignTableQuery(), l.defaultACLQuery(), l.collationQuery(), l.conversionQuery(),
		l.castQuery(), l.transformQuery(), l.eventTriggerQuery(), l.extendedStatisticsQuery(),
		l.publicationQuery(), l.publicationTableQuery(), l.publicationSchemaQuery(), l.subscriptionQuery(),
	}
}
