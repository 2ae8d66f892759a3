package ui

import (
	"strings"

	"github.com/pghaul/pghaul/platform"
)

// shorten says what kind of thing something is only where that changes.
func shorten(names []string) []string {
	out := make([]string, len(names))
	last := ""
	for i, name := range names {
		kind, rest, found := strings.Cut(name, kindEnd)
		switch {
		case !found:
			out[i] = name
		case kind == last:
			out[i] = rest
		default:
			out[i] = kind + " " + rest
		}
		last = kind
	}
	return out
}

// kindEnd separates the kind of a thing from its name until both are written.
const kindEnd = "\x00"

// partKinds are what the tags of privileges, comments and labels begin with.
var partKinds = []string{
	"MATERIALIZED VIEW", "FOREIGN DATA WRAPPER", "FOREIGN SERVER", "FOREIGN TABLE", "LARGE OBJECTS", "LARGE OBJECT",
	"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "EVENT TRIGGER", "ACCESS METHOD", "OPERATOR CLASS", "OPERATOR FAMILY",
	"TABLE", "VIEW", "SEQUENCE", "SCHEMA", "FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "DOMAIN", "LANGUAGE", "DATABASE", "COLUMN",
	"EXTENSION", "SERVER", "INDEX", "CONSTRAINT", "TRIGGER", "POLICY", "RULE", "COLLATION", "CONVERSION", "CAST", "OPERATOR",
	"PUBLICATION", "SUBSCRIPTION", "STATISTICS", "ROUTINE", "TRANSFORM", "PARAMETER",
}

// itemName names an object as people would: "table app.orders", "privileges on
// function pg_catalog.pg_stat_reset()".
func itemName(it *platform.Item) string {
	kind, name := strings.ToLower(it.Kind), it.Name
	switch it.Kind {
	case "ACL", "COMMENT", "SECURITY LABEL":
		part := ""
		for _, p := range partKinds {
			if rest, ok := strings.CutPrefix(name, p+" "); ok {
				part, name = strings.ToLower(p), rest
				break
			}
		}
		kind = strings.TrimSpace(map[string]string{"ACL": "privileges on ", "COMMENT": "comment on ", "SECURITY LABEL": "label on "}[it.Kind] + part)
	case "DEFAULT ACL":
		kind, name = "default privileges", strings.ToLower(strings.TrimPrefix(name, "DEFAULT PRIVILEGES "))
		if it.Schema != "" {
			return kind + kindEnd + name + " in schema " + plain(it.Schema)
		}
	case "USER MAPPING":
		name = "for " + strings.Replace(strings.TrimPrefix(name, "USER MAPPING "), " SERVER ", " on server ", 1)
	case "TABLE DATA", "SEQUENCE SET", "BLOB METADATA", "BLOBS", "LARGE OBJECT":
		kind = map[string]string{
			"TABLE DATA": "rows of", "SEQUENCE SET": "position of", "BLOB METADATA": "large object", "BLOBS": "rows of large objects",
			"LARGE OBJECT": "large object",
		}[it.Kind]
	case "FK CONSTRAINT":
		kind = "foreign key"
	}
	if it.Schema != "" {
		name = it.Schema + "." + name
	}
	return plain(kind) + kindEnd + plain(name)
}

// quoteName quotes a name only where that helps to see where it ends.
func quoteName(name string) string {
	if strings.ContainsAny(name, " ,:\"'") || name == "" {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return name
}
