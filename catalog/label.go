package catalog

import (
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A label is a security label of an object, or of the column sub.
type label struct {
	sub            int32
	provider, text string
}

func (l *loader) labelQuery() query {
	return query{
		what: "security labels",
		sql:  `SELECT s.classoid, s.objoid, s.objsubid, s.provider, s.label FROM pg_catalog.pg_seclabels s ORDER BY 1, 2, 3, 4`,
		scan: func(row pgx.Rows) error {
			var id ID
			var x label
			if err := row.Scan(&id.Class, &id.OID, &x.sub, &x.provider, &x.text); err != nil {
				return err
			}
			l.labels[id] = append(l.labels[id], x)
			return nil
		},
	}
}

// objectLabels adds the security labels of an object as one entry. kind and
// name are those of SECURITY LABEL ON; name is quoted, without its schema.
func (l *loader) objectLabels(o Object) {
	m := o.Info()
	if len(l.labels) == 0 {
		return
	}
	switch o := o.(type) {
	case *DatabaseObject:
		l.labelSatellite(m, m.ID, "DATABASE", "", quote.Ident(m.Name), nil)
	case *Schema, *Extension:
		l.labelSatellite(m, m.ID, m.Kind, "", quote.Ident(m.Name), nil)
	case *Function:
		l.labelSatellite(m, m.ID, m.Kind, m.Schema, o.signature(), nil)
	case *Type:
		if !o.dummy {
			l.labelSatellite(m, m.ID, m.Kind, m.Schema, quote.Ident(m.Name), nil)
		}
	case *Relation:
		if o.Relkind != 'c' {
			l.labelSatellite(m, m.ID, m.Kind, m.Schema, quote.Ident(m.Name), o)
		}
	case *LargeObjects:
		if o.Contents {
			return
		}
		for _, oid := range o.OIDs {
			l.labelSatellite(m, ID{classLargeObj, oid}, "LARGE OBJECT", "", strconv.FormatUint(uint64(oid), 10), nil)
		}
	case *Language, *EventTrigger, *Publication, *Subscription:
		kind, name := o.(interface{ commentOn() (string, string) }).commentOn()
		l.labelSatellite(m, m.ID, kind, "", name, nil)
	}
}

func (l *loader) labelSatellite(m *Meta, id ID, kind, schema, name string, table *Relation) {
	if !m.want.has(partLabel) {
		return
	}
	qualified := name
	if schema != "" {
		qualified = quote.Ident(schema) + "." + name
	}
	var s sqlText
	for _, x := range l.labels[id] {
		on := kind + " " + qualified
		if x.sub != 0 {
			if table == nil {
				continue
			}
			c := table.column(int(x.sub))
			if c == nil || c.dropped {
				continue
			}
			on = "COLUMN " + qualified + "." + quote.Ident(c.name)
		}
		s.add("SECURITY LABEL FOR ", quote.Ident(x.provider), " ON ", on, " IS ", quote.Literal(x.text), ";\n")
	}
	if s.Len() > 0 {
		m.Satellites = append(m.Satellites, Satellite{Kind: "SECURITY LABEL", Tag: kind + " " + name, Schema: schema, Owner: m.Owner, SQL: s.String()})
	}
}
