package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An AccessMethod is a row of pg_am that initdb did not make.
type AccessMethod struct{ statement }

func (l *loader) accessMethodQuery() query {
	return query{
		what: "ACCESS METHOD objects",
		sql:  `SELECT a.oid, a.amname, a.amtype::text, a.amhandler::text FROM pg_catalog.pg_am a WHERE a.oid >= 16384 ORDER BY a.oid`,
		scan: func(row pgx.Rows) error {
			a := &AccessMethod{}
			var oid uint32
			var kind, handler string
			if err := row.Scan(&oid, &a.Name, &kind, &handler); err != nil {
				return err
			}
			l.place(a, ID{classAm, oid}, rankAccessMethod, PreData, 0, 0)
			a.describe("ACCESS METHOD", "")
			words := map[string]string{"i": "INDEX", "t": "TABLE"}
			if words[kind] == "" {
				l.skip(&a.Meta, "its type "+quote.Literal(kind)+" is unknown")
				a.want = 0
				return nil
			}
			a.create = "CREATE ACCESS METHOD " + quote.Ident(a.Name) + " TYPE " + words[kind] + " HANDLER " + handler + ";\n"
			return nil
		},
	}
}
