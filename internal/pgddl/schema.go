package pgddl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// RenameSchemas returns the SQL of an entry (definition, DROP or COPY), or an
// expression, with schemas under other names: to has their names now and then.
//
// Texts are taken as a dump writes them: every object that is not the system's
// is named with its schema, key words within queries are in upper case. What
// looks the same is told apart by its place: the alias of a table in a query
// (app.id), a parameter (SET app.user TO …), the rows NEW and OLD of a trigger.
// Names in strings are changed where the server reads them as names: before
// ::regclass and its like, in setval and such functions, in a function's SET
// search_path.
//
// Other strings stay, bodies of functions among them. mentions are the schemas
// that one of them seems to name.
//
// The error is an [ErrShape] for what cannot be read, and where a name may be
// one of a schema or not.
func RenameSchemas(sql string, to map[string]string) (out string, mentions []string, err error) {
	if !mayMention(sql, to) {
		return sql, nil, nil
	}
	list, err := statements(sql)
	if err != nil {
		return "", nil, err
	}
	r := &renamer{sql: sql, to: to}
	for _, s := range list {
		r.statement(s)
	}
	if r.err != nil {
		return "", nil, r.err
	}
	return r.out.String() + sql[r.done:], r.mentions, nil
}

// mayMention says whether a text holds one of the names at all, which most do
// not.
func mayMention(sql string, to map[string]string) bool {
	low := fold(sql)
	for name := range to {
		if strings.Contains(low, fold(strings.ReplaceAll(name, `"`, `""`))) {
			return true
		}
	}
	return false
}

// A renamer writes one text anew.
type renamer struct {
	sql      string
	to       map[string]string
	out      strings.Builder
	done     int // byte up to which the text has been written
	mentions []string
	err      error

	tokens  []Token // of the statement
	kind    string  // VIEW, TRIGGER, …: what the statement creates; "" for others
	queries bool    // it may hold queries
	frames  []frame // of the brackets that are open, the outermost first
}

// A clause is where in a statement a name stands.
type clause int

const (
	ddl       clause = iota // outside of queries: dotted names begin with a schema
	expr                    // in expressions of a query: they may begin with a table's alias
	relations               // in FROM and the like: they begin with a schema
	assigned                // behind UPDATE … SET
)

// A frame is what is known of a pair of brackets.
type frame struct {
	clause clause
	query  bool // a query has begun in it
}

func (r *renamer) top() *frame { return &r.frames[len(r.frames)-1] }

// at is a token of the statement, none beyond its ends.
func (r *renamer) at(i int) Token {
	if i < 0 || i >= len(r.tokens) {
		return Token{}
	}
	return r.tokens[i]
}

func (r *renamer) replace(t Token, text string) {
	r.out.WriteString(r.sql[r.done:t.Start] + text)
	r.done = t.End
}

func (r *renamer) statement(tokens []Token) {
	r.tokens, r.frames = tokens, []frame{{}}
	r.begin()
	for i := 0; i < len(tokens) && r.err == nil; i++ {
		switch t := tokens[i]; {
		case t.is("(", "["):
			r.open(i)
		case t.is(")", "]"):
			r.frames = r.frames[:len(r.frames)-1]
		case t.is(";"): // of the body of a function or a rule
			*r.top() = frame{clause: r.top().clause}
		case t.Kind == String:
			r.text(i)
		case t.Kind == Quoted || t.Kind == Word:
			i = r.word(i)
		}
	}
}

// begin finds out what the statement is.
func (r *renamer) begin() {
	i := 1
	for r.at(i).is("or", "replace", "temporary", "unlogged", "recursive", "constraint", "materialized", "event") {
		i++
	}
	r.kind, r.queries = "", false
	switch r.at(0).Value {
	case "create", "alter":
		r.kind = r.at(i).Value
		switch r.kind {
		case "view", "rule", "policy", "function", "procedure":
			r.queries = true
		}
	case "drop", "grant", "revoke", "comment", "security", "copy", "set", "reset", "refresh":
	default:
		r.queries = true
	}
}

// open notes an opening bracket.
func (r *renamer) open(i int) {
	f := *r.top()
	inner := frame{clause: f.clause}
	switch f.clause {
	case relations:
		// Joins stand in brackets; what follows a name are columns or arguments.
		if prev := r.at(i - 1); !prev.is("from", "join", "lateral", "(", ",") {
			inner.clause = expr
		}
	case assigned:
		inner.clause = expr
	case ddl, expr:
	}
	r.frames = append(r.frames, inner)
}

// word deals with a name or key word and returns the place of the last token
// that it has read.
func (r *renamer) word(i int) int {
	t := r.tokens[i]
	if r.at(i - 1).is(".") {
		return i
	}
	if r.at(i + 1).is(".") {
		end := i + 2
		for r.at(end+1).is(".") && (r.at(end+2).Kind == Word || r.at(end+2).Kind == Quoted) {
			end += 2
		}
		if new, ok := r.to[t.Value]; ok && r.ofSchema(i, end) {
			r.replace(t, quote.Ident(new))
		}
		return i + 1
	}
	if t.Kind == Word {
		r.clauseOf(i)
		switch {
		case t.Value == "schema" && r.top().clause == ddl && !r.at(i-1).is("(", ","):
			return r.named(i)
		case r.at(i-1).is("set") && (t.Value == "search_path" || t.Value == "default_text_search_config") && r.at(i+1).is("to", "="):
			return r.setting(i)
		}
	}
	return i
}

// clauseOf follows the clauses of queries.
func (r *renamer) clauseOf(i int) {
	t, f, prev := r.tokens[i], r.top(), r.at(i-1)
	if !r.queries {
		return
	}
	switch t.Value {
	case "select", "values", "insert", "update", "delete", "merge":
		if prev.is("on", "for") {
			return // the events of rules and policies, and FOR UPDATE
		}
		f.query, f.clause = true, expr
		if t.Value != "select" && t.Value != "values" {
			f.clause = relations
		}
	case "return":
		if r.kind == "function" || r.kind == "procedure" {
			f.clause = expr
		}
	case "from":
		// Elsewhere it is that of EXTRACT and the like, or of IS DISTINCT FROM.
		if f.query && !prev.is("distinct") {
			f.clause = relations
		}
	case "into", "join":
		if f.clause != ddl {
			f.clause = relations
		}
	case "on", "where", "group", "having", "order", "window", "limit", "offset", "fetch", "returning", "when", "then", "union", "except", "intersect":
		if f.clause != ddl {
			f.clause = expr
		}
	case "set":
		if f.clause == relations {
			f.clause = assigned
		}
	}
}

// ofSchema says whether the dotted name from one token to another begins with a
// schema.
func (r *renamer) ofSchema(i, end int) bool {
	name, prev, next := r.tokens[i].Value, r.at(i-1), r.at(end+1)
	row := name == "new" || name == "old"
	switch c := r.top().clause; {
	case c == ddl && prev.is("set"):
		return false // a parameter of an extension
	case c == ddl && prev.is("(", ",") && next.is("="):
		return false // an option such as toast.autovacuum_enabled
	case c == ddl && row && (r.kind == "trigger" || r.kind == "rule"):
		return next.is("(") || prev.is("on", "to", "from", "function", "procedure", "::")
	case c == ddl:
		return true
	case c == assigned && prev.is("set", ","):
		return false // a field of a column
	case c == relations, next.is("("), prev.is("::", "as") || prev.is("collate"), prev.is("(") && r.at(i-2).is("operator"):
		return true
	case prev.Kind == Quoted, prev.Kind == Word && r.sql[prev.Start] >= 'a' && r.sql[prev.Start] <= 'z' && !prev.is("true", "false", "null"):
		return true // the type of a column that is being named
	}
	if row || name == "excluded" || r.alias(name) {
		return false
	}
	r.err = fmt.Errorf("%w: %s may be a schema or not at byte %d", ErrShape, quote.Ident(name), r.tokens[i].Start)
	return false
}

// alias says whether a name stands by itself in the statement, too, or at the
// end of a dotted one: then a table may be called so in a query.
func (r *renamer) alias(name string) bool {
	for i, t := range r.tokens {
		if (t.Kind == Word || t.Kind == Quoted) && t.Value == name && !r.at(i+1).is(".") {
			return true
		}
	}
	return false
}

// named renames what follows SCHEMA.
func (r *renamer) named(i int) int {
	for r.at(i+1).is("if", "not", "exists") {
		i++
	}
	for {
		t := r.at(i + 1)
		if !t.isName() || r.at(i+2).is(".") {
			return i
		}
		if new, ok := r.to[t.Value]; ok {
			r.replace(t, quote.Ident(new))
		}
		if i++; !r.at(i + 1).is(",") {
			return i
		}
		i++
	}
}

// setting renames the schemas of SET search_path TO, and that of a text search
// configuration.
func (r *renamer) setting(i int) int {
	path := r.tokens[i].Value == "search_path"
	for i += 2; ; i += 2 {
		t := r.at(i)
		switch new, ok := r.to[t.Value]; {
		case t.Kind == String && !path:
			r.qualified(t)
		case t.Kind == String && ok:
			r.replace(t, literal(new))
		case t.isName() && path && ok:
			r.replace(t, quote.Ident(new))
		}
		if !r.at(i + 1).is(",") {
			return i
		}
	}
}

// namesOf are functions whose first argument is the name of an object, as text.
var namesOf = []string{
	"nextval", "currval", "setval", "pg_get_serial_sequence", "to_regclass", "to_regtype", "to_regproc", "to_regprocedure",
	"to_regoper", "to_regoperator", "to_regcollation",
}

// text deals with a string.
func (r *renamer) text(i int) {
	t := r.tokens[i]
	switch reg := r.castTo(i); {
	case reg == "regnamespace", r.at(i-1).is(",") && r.at(i-2).Kind == String && r.at(i-2).Value == "schemaname":
		if parts, rest, err := Names(t.Value); err == nil && len(parts) == 1 && strings.TrimSpace(rest) == "" {
			if new, ok := r.to[parts[0]]; ok {
				if reg != "" {
					new = quote.Ident(new)
				}
				r.replace(t, literal(new))
			}
		}
	case reg != "", r.at(i-1).is("(") && r.at(i-2).Kind == Word && slices.Contains(namesOf, r.at(i-2).Value):
		r.qualified(t)
	case r.at(i-1).is("(") && r.at(i-2).is("current_setting", "set_config"):
	default:
		for name := range r.to {
			if names(t.Value, name) && !slices.Contains(r.mentions, name) {
				r.mentions = append(r.mentions, name)
			}
		}
		slices.Sort(r.mentions)
	}
}

// castTo is the type such as regclass that a string is cast to, maybe by way of
// text; "" for other types.
func (r *renamer) castTo(i int) string {
	for range 2 {
		if !r.at(i + 1).is("::") {
			return ""
		}
		i += 2
		if r.at(i).is("pg_catalog") && r.at(i+1).is(".") {
			i += 2
		}
		switch v := r.at(i).Value; {
		case r.at(i).Kind == Word && strings.HasPrefix(v, "reg") && v != "regrole" && !r.at(i+1).is("["):
			return v
		case !r.at(i).is("text") || !r.at(i+1).is(")"):
			return ""
		}
		i++
	}
	return ""
}

// qualified renames the schema of a name in a string.
func (r *renamer) qualified(t Token) {
	new, _, err := RenameSchemas(t.Value, r.to)
	if err == nil && new != t.Value {
		r.replace(t, literal(new))
	}
}

// names says whether a text seems to name objects of a schema, or to put it into
// a search path.
func names(text, schema string) bool {
	if !mayMention(text, map[string]string{schema: ""}) {
		return false
	}
	text = settingName.ReplaceAllString(text, "")
	word := `"` + regexp.QuoteMeta(strings.ReplaceAll(schema, `"`, `""`)) + `"`
	if quote.Ident(schema) == schema {
		word += `|(?i:` + regexp.QuoteMeta(schema) + `)`
	}
	word = `(?:^|[^\w"$.])(?:` + word + `)`
	return regexp.MustCompile(word+`\s*\.\s*["\pL_]`).MatchString(text) ||
		strings.Contains(fold(text), "search_path") && regexp.MustCompile(word+`(?:[^\w"$.]|$)`).MatchString(text)
}

// settingName finds parameters, whose names have dots, too.
var settingName = regexp.MustCompile(`(?i)(?:current_setting|set_config)\s*\(\s*'[^']*'`)
