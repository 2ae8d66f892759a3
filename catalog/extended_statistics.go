package catalog

import (
	"strconv"

	"github.com/jackc/pgx/v5"
)

// ExtendedStatistics is a row of pg_statistic_ext. What ANALYZE has gathered
// is gathered again on the target.
type ExtendedStatistics struct{ statement }

func (l *loader) extendedStatisticsQuery() query {
	return query{
		what: "STATISTICS objects",
		sql: `SELECT s.oid, s.stxname, s.stxnamespace, s.stxowner, s.stxrelid, pg_catalog.pg_get_statisticsobjdef(s.oid), ` + l.since(13, "coalesce(s.stxstattarget, -1)::int4", "-1") + `
FROM pg_catalog.pg_statistic_ext s ORDER BY s.oid`,
		scan: func(row pgx.Rows) error {
			s := &ExtendedStatistics{}
			var oid, schema, owner, table uint32
			var definition string
			var target int
			if err := row.Scan(&oid, &s.Name, &schema, &owner, &table, &definition, &target); err != nil {
				return err
			}
			l.place(s, ID{classStatExt, oid}, rankStatistics, PostData, schema, owner)
			if r := l.rels[table]; r == nil || !r.Wanted() {
				s.want = 0 // they go with their table
			}
			s.describe("STATISTICS", "")
			s.create = definition + ";\n"
			if target >= 0 {
				s.create += "ALTER STATISTICS " + s.QualifiedName() + " SET STATISTICS " + strconv.Itoa(target) + ";\n"
			}
			return nil
		},
	}
}
