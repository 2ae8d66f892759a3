package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Subscription is a row of pg_subscription. It is restored without a
// connection to the publisher and disabled.
type Subscription struct{ statement }

// subscriptionQuery reads the subscriptions of this database. Only a superuser
// sees how they connect; for others they are listed as skipped.
func (l *loader) subscriptionQuery() query {
	here := `WHERE s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) ORDER BY s.subname` // until 13 oid is hidden as well
	if l.conn.PgConn().ParameterStatus("is_superuser") != "on" {
		return query{
			what: "SUBSCRIPTION objects",
			sql:  `SELECT s.subname FROM pg_catalog.pg_subscription s ` + here,
			scan: func(row pgx.Rows) error {
				m := &Meta{Kind: "SUBSCRIPTION"}
				if err := row.Scan(&m.Name); err != nil {
					return err
				}
				if l.opts.Select.everything() && !l.opts.Select.DataOnly {
					l.skip(m, "only a superuser can read its connection")
				}
				return nil
			},
		}
	}
	stream := "'f'"
	if l.v.AtLeast(16) {
		stream = "s.substream::text"
	} else if l.v.AtLeast(14) {
		stream = "CASE WHEN s.substream THEN 't' ELSE 'f' END"
	}
	return query{
		what: "SUBSCRIPTION objects",
		sql: `SELECT s.oid, s.subname, s.subowner, s.subconninfo, s.subslotname::text, s.subsynccommit, s.subpublications, ` + l.since(14, "s.subbinary", "false") + `, ` + stream + `,
  ` + l.since(15, "s.subtwophasestate <> 'd', s.subdisableonerr", "false, false") + `,
  ` + l.since(16, "s.subpasswordrequired, s.subrunasowner, s.suborigin", "true, true, 'any'") + `, ` + l.since(17, "s.subfailover", "false") + `
FROM pg_catalog.pg_subscription s ` + here,
		scan: func(row pgx.Rows) error {
			s := &Subscription{}
			var oid, owner uint32
			var connection, commit, stream, origin string
			var slot *string
			var publications []string
			var binary, twoPhase, disable, password, asOwner, failover bool
			if err := row.Scan(&oid, &s.Name, &owner, &connection, &slot, &commit, &publications, &binary, &stream,
				&twoPhase, &disable, &password, &asOwner, &origin, &failover); err != nil {
				return err
			}
			l.place(s, ID{classSub, oid}, rankSubscription, PostData, 0, owner)
			s.describe("SUBSCRIPTION", "")
			sql := "CREATE SUBSCRIPTION " + quote.Ident(s.Name) + " CONNECTION " + quote.Literal(connection) +
				" PUBLICATION " + quote.Idents(publications) + " WITH (connect = false, slot_name = "
			if slot != nil {
				sql += quote.Literal(*slot)
			} else {
				sql += "NONE"
			}
			option := func(on bool, text string) {
				if on {
					sql += ", " + text
				}
			}
			option(binary, "binary = true")
			switch stream {
			case "t":
				option(true, "streaming = on")
			case "p":
				option(true, "streaming = parallel")
			default:
				option(true, "streaming = off")
			}
			option(twoPhase, "two_phase = on")
			option(disable, "disable_on_error = true")
			option(!password, "password_required = false")
			option(asOwner, "run_as_owner = true")
			option(failover, "failover = true")
			option(commit != "off", "synchronous_commit = "+quote.Ident(commit))
			option(origin != "any", "origin = "+origin)
			s.create = sql + ");\n"
			return nil
		},
	}
}
