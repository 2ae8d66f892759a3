package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// Options say what to load and how.
type Options struct {
	Select Selection
	// NoPrivileges and NoComments leave the satellites out.
	NoPrivileges, NoComments bool
	// Lock is called once between the listing of relations and the reading of
	// their definitions, with the tables that the load depends on, in OID order.
	// It returns those that have been dropped since; they are left out and
	// listed in Database.Skipped. nil locks nothing: then no DDL may run beside
	// the load, because the server deparses definitions from its current
	// catalogs, not from the snapshot.
	Lock func(ctx context.Context, tables []TableName) (gone []TableName, err error)
	// Beside returns another session with the same snapshot, which takes a part of
	// the queries so that the server works on two at once. nil, or none, leaves
	// all to the first session.
	Beside func() *pgx.Conn
	// AllowNoMatch loads nothing where the patterns of Select match nothing,
	// instead of failing.
	AllowNoMatch bool
	// Standby says that the server is in recovery: it has no rows of unlogged
	// tables.
	Standby bool
	// ViaRoot makes the rows of every partition load through the topmost table.
	ViaRoot bool
	// NoToastCompression leaves out the columns' compression methods.
	NoToastCompression bool
}

// A TableName names a table, unquoted.
type TableName struct {
	OID          uint32
	Schema, Name string
}

// A Database is what was read, sorted so that it can be replayed in order.
type Database struct {
	Version pg.Version
	Name    string
	// Encoding is the database's own.
	Encoding string
	// LCMonetary is the database's setting, by which money values are written.
	LCMonetary string
	// Objects are sorted by dependency. Those whose Create is empty have
	// satellites at most.
	Objects []Object
	// Skipped are objects that were asked for and cannot be dumped.
	Skipped []Skipped
	// Warnings are things a user should know that cost no object.
	Warnings []string
	// Roles are the roles of the cluster that objects and privileges name.
	Roles []Role
	// MaxDumpID is the largest dump ID in use.
	MaxDumpID int

	byDumpID []Object
}

// Object returns the object with a dump ID, nil for none.
func (d *Database) Object(id int) Object {
	if id < 1 || id > len(d.byDumpID) {
		return nil
	}
	return d.byDumpID[id-1]
}

// A Skipped is an object that is not in the graph though it was asked for.
type Skipped struct{ Kind, Name, Reason string }

// A loader holds what is read while the graph is built.
type loader struct {
	conn *pgx.Conn
	v    pg.Version
	opts Options
	sel  selected
	db   *Database

	objs     []Object // by dump ID less one
	byID     map[ID]Object
	roles    map[uint32]string
	schemas  map[uint32]*Schema
	exts     []*Extension
	members  map[ID]*Extension
	rels     map[uint32]*Relation
	relList  []*Relation // in OID order
	types    map[uint32]*Type
	procs    map[uint32]*Function
	indexes  map[uint32]*Index
	initPriv map[ID]map[int32]initPriv
	collName map[uint32]string
	boundary [2]*boundary
	blobs    []*LargeObjects
	stats    map[uint32]*RelStats // by OID of the relation or index
	comments map[ID][]comment
	labels   map[ID][]label
}

// Load reads the catalogs over conn, whose transaction has the snapshot, and
// returns the sorted graph. It sends its queries in a handful of pipelines: a
// database far away costs round trips by the dozen, not by the object.
func Load(ctx context.Context, conn *pgx.Conn, opts Options) (*Database, error) {
	v, err := pg.ServerVersion(conn.PgConn())
	if err != nil {
		return nil, err
	}
	l := &loader{
		conn: conn, v: v, opts: opts, db: &Database{Version: v},
		byID: map[ID]Object{}, roles: map[uint32]string{}, schemas: map[uint32]*Schema{},
		members: map[ID]*Extension{}, rels: map[uint32]*Relation{}, types: map[uint32]*Type{},
		procs: map[uint32]*Function{}, indexes: map[uint32]*Index{},
		initPriv: map[ID]map[int32]initPriv{}, comments: map[ID][]comment{}, stats: map[uint32]*RelStats{}, labels: map[ID][]label{}, collName: map[uint32]string{},
	}
	if err := l.list(ctx); err != nil {
		return nil, err
	}
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	if err := l.define(ctx); err != nil {
		return nil, err
	}
	l.db.Objects, err = l.sort()
	if err != nil {
		return nil, err
	}
	l.finish()
	l.db.MaxDumpID, l.db.byDumpID = len(l.objs), l.objs
	return l.db, nil
}

// list reads names and what the selection needs: no definitions yet.
func (l *loader) list(ctx context.Context) error {
	if err := l.run(ctx, l.roleQuery(), l.databaseQuery(), l.schemaQuery(), l.extensionQuery(), l.memberQuery(), l.relationQuery()); err != nil {
		return err
	}
	if err := l.expand(ctx); err != nil {
		return err
	}
	for _, e := range l.exts {
		l.selectExtension(e)
	}
	for _, s := range l.objs {
		if s, ok := s.(*Schema); ok {
			l.selectSchema(s)
		}
	}
	for _, r := range l.relList {
		l.selectRelation(r)
	}
	l.ownSequences()
	return nil
}

func (l *loader) lock(ctx context.Context) error {
	if l.opts.Lock == nil {
		return nil
	}
	var names []TableName
	for _, r := range l.relList {
		if (r.Relkind == 'r' || r.Relkind == 'p') && r.want&(partDefinition|partData|partPolicy) != 0 {
			names = append(names, TableName{r.ID.OID, r.Schema, r.Name})
		}
	}
	gone, err := l.opts.Lock(ctx, names)
	if err != nil {
		return err
	}
	for _, g := range gone {
		r := l.rels[g.OID]
		r.want = 0
		l.skip(&r.Meta, "dropped by another session while the dump began")
	}
	return nil
}

// define reads the definitions of everything that was listed and selected.
func (l *loader) define(ctx context.Context) error {
	lists := []query{l.functionQuery(), l.typeQuery(), l.aggregateQuery(), l.inheritsQuery(), l.collationNameQuery(), l.enumHashQuery()}
	if err := l.run(ctx, append(lists, l.objectQueries()...)...); err != nil {
		return err
	}
	l.tagFunctions()
	l.shellTypes()
	if err := l.configTables(); err != nil {
		return err
	}
	l.inherit()
	rels := l.interesting()
	beside := l.conn
	if l.opts.Beside != nil {
		if c := l.opts.Beside(); c != nil {
			beside = c
		}
	}
	tables := []query{
		l.functionBodyQuery(), l.aggregateBodyQuery(), l.baseTypeQuery(), l.enumQuery(), l.rangeQuery(), l.compositeQuery(), l.domainQuery(), l.domainCheckQuery(),
		l.columnQuery(rels), l.defaultQuery(rels), l.checkQuery(rels), l.notNullQuery(rels), l.partitionQuery(),
	}
	onTables := append([]query{
		l.indexQuery(rels), l.foreignKeyQuery(rels), l.triggerQuery(rels), l.ruleQuery(rels), l.policyQuery(rels),
		l.viewQuery(), l.sequenceQuery(), l.largeObjectQuery(),
	}, l.positionQueries()...)
	links := []query{
		l.dependQuery(), l.refreshQuery(), l.initPrivQuery(), l.columnACLQuery(), l.commentQuery(), l.sharedCommentQuery(), l.labelQuery(), l.membershipQuery(),
	}
	first, second := []query(nil), tables
	if beside == l.conn {
		first, second = tables, nil
	}
	if err := l.run(ctx, first...); err != nil {
		return err
	}
	p := send(ctx, beside, onTables, links)
	defer func() { _ = p.close() }()
	if err := l.run(ctx, second...); err != nil {
		return err
	}
	if err := p.scan(); err != nil {
		return err
	}
	if err := l.countChecks(); err != nil {
		return err
	}
	l.inheritColumns()
	l.attachIndexes()
	l.foreignKeyParents()
	l.rowSecurity()
	l.tableData()
	l.orderRows()
	l.largeObjectContents()
	l.relationStats()
	if err := p.last(); err != nil {
		return err
	}
	if err := l.run(ctx, l.relStatsQuery(), l.attributeStatsQuery()); err != nil {
		return err
	}
	l.checkPositions()
	l.followParents()
	l.boundaries()
	return nil
}

// A query is one catalog query of a pipeline.
type query struct {
	what string // for errors: "TABLE objects"
	sql  string
	args []any
	scan func(pgx.Rows) error // called for each row; nil discards them
	done func()               // called after the last row, if not nil
	// at names the object at whose row the server failed, "" if that is not
	// known; nil is never known.
	at func() string
}

// failed wraps an error of the query.
func (q query) failed(err error) error {
	if _, ok := errors.AsType[*pgconn.PgError](err); ok && q.at != nil {
		if name := q.at(); name != "" {
			return fmt.Errorf("load %s: %s, whose definition the server cannot write (repair or drop it, or leave it out): %w", q.what, name, err)
		}
	}
	return fmt.Errorf("load %s: %w", q.what, err)
}

// run sends the queries in one pipeline and scans their results in order.
// Queries without SQL are left out.
func (l *loader) run(ctx context.Context, queries ...query) error {
	return send(ctx, l.conn, queries).last()
}

// A pipeline is queries under way on a session.
type pipeline struct {
	lists   [][]query
	results pgx.BatchResults // nil if there are no queries
}

// send sends lists of queries in one pipeline. Each scan scans the results of
// one list, in order.
func send(ctx context.Context, conn *pgx.Conn, lists ...[]query) *pipeline {
	p, batch := new(pipeline), new(pgx.Batch)
	for _, list := range lists {
		list = slices.DeleteFunc(list, func(q query) bool { return q.sql == "" })
		for _, q := range list {
			batch.Queue(q.sql, q.args...)
		}
		p.lists = append(p.lists, list)
	}
	if batch.Len() > 0 {
		p.results = conn.SendBatch(ctx, batch)
	}
	return p
}

func (p *pipeline) scan() error {
	list := p.lists[0]
	p.lists = p.lists[1:]
	for _, q := range list {
		rows, err := p.results.Query()
		if err != nil {
			return q.failed(err)
		}
		for q.scan != nil && rows.Next() {
			if err := q.scan(rows); err != nil {
				rows.Close()
				return fmt.Errorf("load %s: %w", q.what, err)
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return q.failed(err)
		}
		if q.done != nil {
			q.done()
		}
	}
	return nil
}

// last scans the last list and closes the pipeline.
func (p *pipeline) last() error {
	err := p.scan()
	if closing := p.close(); err == nil {
		err = closing
	}
	return err
}

// close ends the pipeline, whose session is free then, and passes over what was
// not scanned.
func (p *pipeline) close() error {
	if p.results == nil {
		return nil
	}
	return p.results.Close()
}

// add registers an object and gives it the next dump ID.
func (l *loader) add(o Object, id ID, r rank) {
	m := o.Info()
	m.ID, m.rank = id, r
	m.has |= partDefinition
	l.objs = append(l.objs, o)
	m.DumpID = len(l.objs)
	if id.OID != 0 {
		l.byID[id] = o
	}
}

// object returns the object with a dump ID, nil for none.
func (l *loader) object(dumpID int) Object {
	if dumpID < 1 || dumpID > len(l.objs) {
		return nil
	}
	return l.objs[dumpID-1]
}

func (l *loader) schema(oid uint32) string {
	if s := l.schemas[oid]; s != nil {
		return s.Name
	}
	return ""
}

// schemaIdent is the quoted name of a schema.
func (l *loader) schemaIdent(oid uint32) string { return quote.Ident(l.schema(oid)) }

// skip records that an object which was asked for will not be dumped.
func (l *loader) skip(m *Meta, reason string) {
	l.db.Skipped = append(l.db.Skipped, Skipped{m.Kind, m.QualifiedName(), reason})
}

// oids writes a list of OIDs as an array literal for a parameter that the
// query casts with ::oid[], so that the server knows how many they are when it plans.
func oids(list []uint32) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, o := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(o), 10))
	}
	b.WriteByte('}')
	return b.String()
}

// since returns sql if the server is of that major or later, else instead.
func (l *loader) since(major int, sql, instead string) string {
	if l.v.AtLeast(major) {
		return sql
	}
	return instead
}
