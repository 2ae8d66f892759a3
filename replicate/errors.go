package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// A protocolError is something that the source should never have sent.
type protocolError struct{ err error }

func (e *protocolError) Error() string { return e.err.Error() }
func (e *protocolError) Unwrap() error { return e.err }

// A lostError says that changes which the target lacks can no longer be had.
type lostError struct{ text string }

func (e *lostError) Error() string {
	return e.text + ": the follow cannot go on; abort it and start anew with a new copy"
}

// internalError is the SQLSTATE of what a server did not think possible.
const internalError = "XX000"

// An internalSourceError is one of the source while it reads its log, which may
// pass when it reads it again from a later place.
type internalSourceError struct{ err error }

func (e *internalSourceError) Error() string { return e.err.Error() }
func (e *internalSourceError) Unwrap() error { return e.err }

// internalPatience is how long the source may fail so without any progress.
const internalPatience = 10 * time.Minute

// temporary reports whether what failed may succeed when it is done again: the
// connection was lost, the server restarts, is full, or has had to choose a loser.
func temporary(err error) bool {
	if _, ok := errors.AsType[*ConflictError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*SchemaError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*protocolError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*ActingError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*lostError](err); ok {
		return false
	}
	for _, end := range []error{ErrPaused, ErrEnded, ErrTakenOver, ErrNoFollow, context.Canceled} {
		if errors.Is(err, end) {
			return false
		}
	}
	if _, ok := errors.AsType[*internalSourceError](err); ok {
		return true
	}
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true
	}
	switch code := pe.Code; {
	case strings.HasPrefix(code, "08"), // connection
		strings.HasPrefix(code, "40"), // deadlock, serialization
		strings.HasPrefix(code, "53"), // memory, disk, connections
		strings.HasPrefix(code, "57"), // shut down, cancelled, starting up
		strings.HasPrefix(code, "58"), // input and output
		code == "55P03",               // a lock
		code == "55006",               // the slot is in use
		code == "25006":               // read-only, for a while
		return true
	}
	return false
}

// refusedLogin reports whether the server will not have us, which waiting does not
// change.
func refusedLogin(err error) bool {
	code := pg.Code(err)
	return strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D") || strings.HasPrefix(code, "42")
}

func quoted(m *msgRelation) string { return quote.Qualified(m.schema, m.name) + " on the source" }

// compare tells how a table differs from what it was when the follow was started.
func compare(t *Table, m *msgRelation) []string {
	var diffs []string
	if t.Schema != m.schema || t.Name != m.name {
		diffs = append(diffs, "has another name: "+quote.Qualified(m.schema, m.name))
	}
	if t.Identity != m.identity {
		diffs = append(diffs, fmt.Sprintf("has another replica identity: %q instead of %q", m.identity, t.Identity))
	}
	now := map[string]*relationColumn{}
	for i := range m.columns {
		now[m.columns[i].name] = &m.columns[i]
	}
	before := map[string]bool{}
	for _, c := range t.Columns {
		before[c.Name] = true
		n := now[c.Name]
		switch {
		case n == nil:
			diffs = append(diffs, fmt.Sprintf("has no column %q any more", c.Name))
			continue
		case n.oid != c.OID:
			diffs = append(diffs, fmt.Sprintf("has a column %q of type %s instead of %s", c.Name, typeName(n.oid), c.Type))
		case n.mod != c.Mod:
			diffs = append(diffs, fmt.Sprintf("has a column %q that is no longer %s but has another length or precision", c.Name, c.Type))
		}
		if key := n.flags&1 != 0; key && !c.Key {
			diffs = append(diffs, fmt.Sprintf("has the column %q in its key", c.Name))
		} else if !key && c.Key {
			diffs = append(diffs, fmt.Sprintf("has the column %q no longer in its key", c.Name))
		}
	}
	for _, c := range m.columns {
		if !before[c.name] {
			diffs = append(diffs, fmt.Sprintf("has a new column %q of type %s", c.name, typeName(c.oid)))
		}
	}
	return diffs
}

// typeName names a type of a message, which holds its OID only.
func typeName(oid uint32) string {
	if t, ok := pgtype.NewMap().TypeForOID(oid); ok {
		return t.Name
	}
	return fmt.Sprintf("number %d", oid)
}
