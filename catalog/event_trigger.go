package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An EventTrigger is a row of pg_event_trigger.
type EventTrigger struct{ statement }

func (l *loader) eventTriggerQuery() query {
	return query{
		what: "EVENT TRIGGER objects",
		sql: `SELECT e.oid, e.evtname, e.evtowner, e.evtevent, e.evtenabled::text, e.evtfoid::pg_catalog.regproc::text,
  pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_literal(x) FROM pg_catalog.unnest(e.evttags) AS t(x)), ', ')
FROM pg_catalog.pg_event_trigger e ORDER BY e.oid`,
		scan: func(row pgx.Rows) error {
			e := &EventTrigger{}
			var oid, owner uint32
			var event, enabled, function, tags string
			if err := row.Scan(&oid, &e.Name, &owner, &event, &enabled, &function, &tags); err != nil {
				return err
			}
			l.place(e, ID{classEventTrig, oid}, rankEventTrigger, PostData, 0, owner)
			e.describe("EVENT TRIGGER", "")
			e.create = "CREATE EVENT TRIGGER " + quote.Ident(e.Name) + " ON " + quote.Ident(event)
			if tags != "" {
				e.create += "\n         WHEN TAG IN (" + tags + ")"
			}
			e.create += "\n   EXECUTE FUNCTION " + function + "();\n"
			if enabled != "O" {
				e.create += "\nALTER EVENT TRIGGER " + quote.Ident(e.Name) + " " + enableWords[enabled[0]] + ";\n"
			}
			return nil
		},
	}
}
