package catalog

import (
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An aggregateFacts is a row of pg_aggregate.
type aggregateFacts struct {
	kind                                              string
	transFn, finalFn, combineFn, serialFn, deserialFn string
	mtransFn, minvTransFn, mfinalFn                   string
	finalExtra, mfinalExtra                           bool
	finalModify, mfinalModify                         string
	sortOp, transType, mtransType                     string
	transSpace, mtransSpace                           int
	initVal, minitVal                                 *string
	parallel                                          string
}

func (l *loader) aggregateBodyQuery() query {
	return query{
		what: "AGGREGATE definitions",
		sql: `SELECT p.oid, pg_catalog.pg_get_function_arguments(p.oid), a.aggkind::text, a.aggtransfn::text, a.aggfinalfn::text, a.aggcombinefn::text, a.aggserialfn::text, a.aggdeserialfn::text,
  a.aggmtransfn::text, a.aggminvtransfn::text, a.aggmfinalfn::text, a.aggfinalextra, a.aggmfinalextra, a.aggfinalmodify::text, a.aggmfinalmodify::text,
  coalesce('OPERATOR(' || pg_catalog.quote_ident(opn.nspname) || '.' || op.oprname || ')', ''),
  a.aggtranstype::pg_catalog.regtype::text, a.aggmtranstype::pg_catalog.regtype::text, a.aggtransspace, a.aggmtransspace, a.agginitval, a.aggminitval, p.proparallel::text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
LEFT JOIN pg_catalog.pg_operator op ON op.oid = a.aggsortop LEFT JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace
WHERE p.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY p.oid`,
		args: []any{l.wantedFunctions(true)},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var args string
			var a aggregateFacts
			if err := row.Scan(&oid, &args, &a.kind, &a.transFn, &a.finalFn, &a.combineFn, &a.serialFn, &a.deserialFn,
				&a.mtransFn, &a.minvTransFn, &a.mfinalFn, &a.finalExtra, &a.mfinalExtra, &a.finalModify, &a.mfinalModify,
				&a.sortOp, &a.transType, &a.mtransType, &a.transSpace, &a.mtransSpace, &a.initVal, &a.minitVal, &a.parallel); err != nil {
				return err
			}
			l.procs[oid].args, l.procs[oid].agg = args, a
			return nil
		},
	}
}

func (f *Function) createAggregate() string {
	var s sqlText
	a := f.agg
	args := f.args
	if args == "" {
		args = "*"
	}
	s.add("CREATE AGGREGATE ", quote.Ident(f.Schema), ".", quote.Ident(f.Name), "(", args, ") (\n    SFUNC = ", a.transFn, ",\n    STYPE = ", a.transType)
	option := func(on bool, name, value string) {
		if !on {
			return
		}
		s.add(",\n    ", name)
		if value != "" {
			s.add(" = ", value)
		}
	}
	literal := func(p *string) string {
		if p == nil {
			return ""
		}
		return quote.Literal(*p)
	}
	modify := map[string]string{"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}
	usual := "w" // ordered-set and hypothetical aggregates
	if a.kind == "n" {
		usual = "r"
	}
	option(a.transSpace != 0, "SSPACE", strconv.Itoa(a.transSpace))
	option(a.initVal != nil, "INITCOND", literal(a.initVal))
	if a.finalFn != "-" {
		option(true, "FINALFUNC", a.finalFn)
		option(a.finalExtra, "FINALFUNC_EXTRA", "")
		option(a.finalModify != usual, "FINALFUNC_MODIFY", modify[a.finalModify])
	}
	option(a.combineFn != "-", "COMBINEFUNC", a.combineFn)
	option(a.serialFn != "-", "SERIALFUNC", a.serialFn)
	option(a.deserialFn != "-", "DESERIALFUNC", a.deserialFn)
	if a.mtransFn != "-" {
		option(true, "MSFUNC", a.mtransFn)
		option(true, "MINVFUNC", a.minvTransFn)
		option(true, "MSTYPE", a.mtransType)
	}
	option(a.mtransSpace != 0, "MSSPACE", strconv.Itoa(a.mtransSpace))
	option(a.minitVal != nil, "MINITCOND", literal(a.minitVal))
	if a.mfinalFn != "-" {
		option(true, "MFINALFUNC", a.mfinalFn)
		option(a.mfinalExtra, "MFINALFUNC_EXTRA", "")
		option(a.mfinalModify != usual, "MFINALFUNC_MODIFY", modify[a.mfinalModify])
	}
	option(a.sortOp != "", "SORTOP", a.sortOp)
	option(a.kind == "h", "HYPOTHETICAL", "")
	option(a.parallel == "s", "PARALLEL", "safe")
	option(a.parallel == "r", "PARALLEL", "restricted")
	s.add("\n);\n")
	return s.String()
}
