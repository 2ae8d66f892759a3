package catalog

import (
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// An ID names a catalog row the way pg_depend does. The zero ID names nothing.
type ID struct {
	Class uint32 // OID of the system catalog the row is in
	OID   uint32
}

// The OIDs of the system catalogs, the same in every server (catversion.h
// fixes them below 10000).
const (
	classType       = 1247
	classProc       = 1255
	classRel        = 1259
	classDatabase   = 1262
	classServer     = 1417
	classFDW        = 2328
	classAm         = 2601
	classAttrdef    = 2604
	classCast       = 2605
	classConstraint = 2606
	classConversion = 2607
	classLanguage   = 2612
	classLargeObj   = 2613
	classNamespace  = 2615
	classOpclass    = 2616
	classOperator   = 2617
	classOpfamily   = 2753
	classRewrite    = 2618
	classTrigger    = 2620
	classExtension  = 3079
	classPolicy     = 3256
	classStatExt    = 3381
	classCollation  = 3456
	classEventTrig  = 3466
	classTransform  = 3576
	classTSDict     = 3600
	classTSParser   = 3601
	classTSConfig   = 3602
	classTSTemplate = 3764
	classDefaultACL = 826
	classSub        = 6100
	classPub        = 6104
	classPubRel     = 6106
	classPubSchema  = 6237
)

// firstUserOID is the first OID that initdb does not give out
// (FirstNormalObjectId).
const firstUserOID = 16384

// A Section says in which part of a restore an object's entry runs, with the
// numbers of pg_dump's table of contents.
type Section int

// The sections.
const (
	PreData  Section = 2
	Data     Section = 3
	PostData Section = 4
)

// parts are the components of an object that a dump may hold.
type parts uint8

const (
	partDefinition parts = 1 << iota
	partData
	partComment
	partLabel
	partACL
	partPolicy
	partStatistics
	partAll parts = 0xff
)

// An Object is one thing a dump can recreate.
type Object interface {
	Info() *Meta
	// Create returns the SQL that recreates the object; "" if it has no entry
	// of its own.
	Create() string
	// Drop returns the SQL that drops it, "" if it goes with another object.
	// It holds "DROP " and the kind, as pg_restore expects.
	Drop() string
}

// Meta is what all objects share; kinds embed it.
type Meta struct {
	ID           ID
	DumpID       int    // position in the graph, unique and > 0
	Kind         string // pg_dump's words: "TABLE", "FK CONSTRAINT", ...
	Section      Section
	Schema, Name string
	Tag          string // display name; "" means Name
	Owner        string // "" for kinds without one
	Tablespace   *string
	AccessMethod *string
	Relkind      byte
	Deps         []int // dump IDs of what must exist first
	// RawDeps are written to the archive as they are: Deps is then only for
	// sorting.
	RawDeps    []int
	Satellites []Satellite

	rank rank  // order of kinds, see sort.go
	has  parts // what the object has in the catalogs
	want parts // what the selection asks for
}

// Info implements Object.
func (m *Meta) Info() *Meta { return m }

// dumps reports whether any of p is both there and wanted.
func (m *Meta) dumps(p parts) bool { return m.has&m.want&p != 0 }

// Wanted reports whether the object's own definition is to be dumped.
func (m *Meta) Wanted() bool { return m.dumps(partDefinition) }

// DisplayTag is the tag of the object's entry.
func (m *Meta) DisplayTag() string {
	if m.Tag != "" {
		return m.Tag
	}
	return m.Name
}

// QualifiedName is the quoted name with its schema.
func (m *Meta) QualifiedName() string { return quote.Qualified(m.Schema, m.Name) }

func (m *Meta) dependOn(id int) { m.Deps = append(m.Deps, id) }

func (m *Meta) forget(id int) {
	for i, d := range m.Deps {
		if d == id {
			m.Deps = append(m.Deps[:i:i], m.Deps[i+1:]...)
			return
		}
	}
}

// A Satellite is an entry that follows an object's: a comment, security
// labels, privileges, or a user mapping of a foreign server.
type Satellite struct {
	Kind string // "COMMENT", "SECURITY LABEL", "ACL", "USER MAPPING"
	Tag  string
	SQL  string
	// Section is 0 where the entry depends on its object's and goes with it; an
	// entry with a section, and a Drop, relies on the order alone.
	Section Section
	Drop    string
	// Owner acts when the statement runs; "" for objects without an owner.
	Owner  string
	Schema string
	// After is the dump ID of the entry it follows; 0 means its object's.
	After int
	// AfterTableACL makes column privileges follow the table's as well.
	AfterTableACL bool
}

// sqlText collects statements.
type sqlText struct{ strings.Builder }

func (s *sqlText) add(words ...string) {
	for _, w := range words {
		s.WriteString(w)
	}
}
