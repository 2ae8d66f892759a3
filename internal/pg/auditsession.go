package pg

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pghaul/pghaul/internal/redact"
)

// auditText is how many bytes of a statement are kept. Longer ones are those of
// INSERT scripts.
const auditText = 64 << 10

func cut(s string) string { return s[:min(len(s), auditText)] }

// An auditSession follows the messages of one connection.
type auditSession struct {
	audit    *Audit
	key      io.Writer
	out, in  messages
	portals  map[string]auditItem // bound, by name
	prepared map[string]auditItem // by name

	mu      sync.Mutex // guards what follows: sending and receiving overlap
	conn    auditConnection
	opened  time.Time
	ready   bool // the first ReadyForQuery has come
	ended   bool
	pending []auditItem
	tags    []string
	rows    int64
	refused string // error of the statement under way
	state   string // its SQLSTATE
	role    role   // by what the server has answered
	sending role   // if it says yes to all that has been sent
	err     error  // of writing the log
}

type auditWhat int

const (
	auditQuery   auditWhat = iota // simple query, answered by ReadyForQuery
	auditParse                    // answered by ParseComplete
	auditExecute                  // answered by CommandComplete
	auditSync                     // answered by ReadyForQuery
)

// An auditItem is a message sent that has not been answered.
type auditItem struct {
	what       auditWhat
	text       string
	bytes      int // of the whole statement
	parameters int
	sent       time.Time
}

func newAuditSession(a *Audit, key io.Writer, c auditConnection) *auditSession {
	s := &auditSession{
		audit: a, key: key, conn: c, opened: time.Now(),
		portals: map[string]auditItem{}, prepared: map[string]auditItem{},
	}
	s.out = messages{untyped: true, keep: map[byte]int{'Q': auditText, 'P': auditText, 'B': 4096, 'E': 256, 'S': 0, 'X': 0}}
	s.in = messages{keep: map[byte]int{'C': 256, 'E': 8192, 'Z': 1, 'K': 4, '1': 0, 'I': 0, 's': 0}}
	return s
}

// sent is told what is about to be sent.
func (s *auditSession) sent(p []byte) error {
	return s.out.feed(p, func(kind byte, body []byte, size int) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch kind {
		case 0:
			s.startup(body)
		case 'Q':
			s.push(auditItem{what: auditQuery, text: text(body), bytes: max(size-1, 0)})
		case 'P':
			name, rest := cstring(body)
			item := auditItem{text: text([]byte(rest))}
			if item.bytes = len(item.text); item.bytes == len(rest) { // the end is missing
				item.bytes = size
			}
			s.prepared[name] = item
			item.what = auditParse
			s.push(item)
		case 'B':
			portal, rest := cstring(body)
			name, rest := cstring([]byte(rest))
			item := s.prepared[name]
			item.parameters = parameters(rest)
			s.portals[portal] = item
		case 'E':
			portal, _ := cstring(body)
			item := s.portals[portal]
			item.what = auditExecute
			s.push(item)
		case 'S':
			s.push(auditItem{what: auditSync})
		case 'X':
			s.finish("the session ended before the result")
		}
		return s.err
	})
}

// startup reads who connects to what.
func (s *auditSession) startup(body []byte) {
	if len(body) < 4 {
		return
	}
	words := strings.Split(string(body[4:]), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		switch words[i] {
		case "user":
			s.conn.User = words[i+1]
		case "database":
			s.conn.Database = words[i+1]
		}
	}
	s.role = role{now: s.conn.User, user: s.conn.User}
	s.sending = s.role
}

// push notes what is sent, and logs it if it is a statement to be run.
func (s *auditSession) push(item auditItem) {
	item.sent = time.Now()
	s.pending = append(s.pending, item)
	if item.what == auditQuery || item.what == auditExecute {
		s.log(auditRecord{Time: item.sent, Event: "send", Role: s.sending.now}, item)
		s.sending.ran(item.text, true)
	}
}

// received is told what has arrived.
func (s *auditSession) received(p []byte) error {
	return s.in.feed(p, func(kind byte, body []byte, _ int) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answer(kind, body)
		return s.err
	})
}

func (s *auditSession) answer(kind byte, body []byte) {
	switch kind {
	case 'K':
		s.conn.PID = binary.BigEndian.Uint32(body)
	case 'C':
		s.complete(strings.TrimRight(string(body), "\x00"))
	case 'I':
		s.complete("")
	case 's':
		s.complete("suspended")
	case '1':
		if s.head(auditParse) {
			s.pending = s.pending[1:]
		}
	case 'E':
		s.refuse(body)
	case 'Z':
		s.readyForQuery(body[0])
	}
}

// head reports whether the next answer is one to a message of this kind.
func (s *auditSession) head(what auditWhat) bool {
	return len(s.pending) > 0 && s.pending[0].what == what
}

// complete notes that a command has succeeded.
func (s *auditSession) complete(tag string) {
	if tag != "" {
		s.tags = append(s.tags, tag)
		s.rows += tagRows(tag)
	}
	if s.head(auditExecute) {
		s.done()
	}
}

// done logs the result of the statement at the head.
func (s *auditSession) done() {
	item := s.pending[0]
	s.pending = s.pending[1:]
	rows, seconds := s.rows, time.Since(item.sent).Seconds()
	r := auditRecord{
		Event: "result", Role: s.role.now, Result: summary(s.tags), SQLState: s.state, Seconds: &seconds,
		Parameters: item.parameters,
	}
	if s.refused != "" {
		r.Result = strings.TrimPrefix(r.Result+"; "+s.refused, "; ")
	} else {
		r.Rows = &rows
	}
	s.log(r, item)
	s.role.ran(item.text, s.refused == "")
	if n := len(s.tags); n > 0 {
		s.role.tag(s.tags[n-1])
	}
	s.tags, s.rows, s.refused, s.state = nil, 0, "", ""
}

// refuse notes an error of the server.
func (s *auditSession) refuse(body []byte) {
	severity, message := "ERROR", ""
	for len(body) > 0 && body[0] != 0 {
		value, rest := cstring(body[1:])
		switch body[0] {
		case 'V', 'S':
			severity = value
		case 'C':
			s.state = value
		case 'M':
			message = redact.SQL(value)
		}
		body = []byte(rest)
	}
	s.refused = severity + ": " + message
	switch {
	case !s.ready:
		s.log(auditRecord{Event: "connect", Result: s.refused, SQLState: s.state}, auditItem{})
		s.ended = true
		s.audit.forget(s.key)
	case len(s.pending) == 0: // such as a server that shuts down
		s.log(auditRecord{Event: "notice", Role: s.role.now, Result: s.refused, SQLState: s.state}, auditItem{})
		s.refused, s.state = "", ""
	case !s.head(auditQuery):
		s.skip()
	}
}

// skip tells what becomes of the extended-protocol messages up to Sync after an
// error in the first of them: it has failed, the others are not run.
func (s *auditSession) skip() {
	for first := true; len(s.pending) > 0 && !s.head(auditSync); {
		parse := s.pending[0].what == auditParse
		if parse && len(s.pending) > 1 && s.pending[1].what == auditExecute {
			s.pending = s.pending[1:] // its execution tells
			continue
		}
		if !first {
			if parse {
				s.pending = s.pending[1:]
				continue
			}
			s.refused = "not run: a statement before it failed"
		}
		first = false
		s.done()
	}
	s.refused, s.state = "", ""
}

func (s *auditSession) readyForQuery(status byte) {
	switch {
	case !s.ready:
		s.ready = true
		seconds := time.Since(s.opened).Seconds()
		s.log(auditRecord{Event: "connect", Role: s.role.now, Result: "connected", Seconds: &seconds}, auditItem{})
	case s.head(auditQuery):
		s.done()
	case s.head(auditSync):
		s.pending = s.pending[1:]
	}
	s.role.transaction(status)
	if len(s.pending) == 0 {
		s.sending = s.role
	}
}

// end tells that the session is over, and that nobody knows the results of what
// was under way.
func (s *auditSession) end(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(why)
}

func (s *auditSession) finish(why string) {
	if s.ended {
		return
	}
	s.ended = true
	s.audit.forget(s.key)
	for len(s.pending) > 0 {
		if what := s.pending[0].what; what != auditQuery && what != auditExecute {
			s.pending = s.pending[1:]
			continue
		}
		if s.refused == "" {
			s.refused = "unknown: " + redact.Text(why)
		}
		s.done()
	}
	s.log(auditRecord{Event: "close", Role: s.role.now}, auditItem{})
}

// log writes a line about the session, and about a statement if item has one.
func (s *auditSession) log(r auditRecord, item auditItem) {
	c := s.conn
	r.Connection = &c
	r.Statement, r.Parameters = redact.SQL(item.text), item.parameters
	if item.bytes > len(item.text) {
		r.Bytes = item.bytes
	}
	if err := s.audit.write(r); err != nil {
		s.err = err
	}
}

// summary joins command tags, counting equal ones in a row.
func summary(tags []string) string {
	var out []string
	for i := 0; i < len(tags); {
		n := 1
		for i+n < len(tags) && tags[i+n] == tags[i] {
			n++
		}
		text := tags[i]
		if n > 1 {
			text = fmt.Sprintf("%s ×%d", text, n)
		}
		out = append(out, text)
		i += n
	}
	return strings.Join(out, "; ")
}

// tagRows is the number of rows a command tag ends with, 0 for tags without.
func tagRows(tag string) int64 {
	n, err := strconv.ParseInt(tag[strings.LastIndexByte(tag, ' ')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// A role is what SET ROLE has made of the session's user.
type role struct {
	now    string
	user   string // what RESET ROLE goes back to
	before string // the role before the last statement, if that changed it
	start  string // the role at the beginning of the transaction
	local  bool   // now holds until the end of the transaction
	open   bool   // a transaction is open
	back   bool   // it ended with ROLLBACK
}

var setRole = regexp.MustCompile(`(?i)(?:^|;)\s*(?:(RESET\s+ROLE)|SET\s+(?:(LOCAL)\s+|SESSION\s+)?ROLE\s+(?:(?:TO|=)\s*)?(NONE\b|DEFAULT\b|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s;'"]+))`)

// definition is the beginning of statements with bodies, in which SET ROLE does
// nothing now.
var definition = regexp.MustCompile(`(?i)^\s*(?:CREATE|DO|COMMENT)\b`)

// ran follows a statement that succeeded or not.
func (r *role) ran(sql string, ok bool) {
	r.before = ""
	if !ok || len(sql) > 16<<10 || definition.MatchString(sql) {
		return
	}
	for _, m := range setRole.FindAllStringSubmatch(sql, -1) {
		name := m[3]
		switch quoted := strings.Trim(name, "'"); {
		case m[1] != "", strings.EqualFold(quoted, "none"), strings.EqualFold(name, "default"):
			name = r.user
		case strings.HasPrefix(name, "'"):
			name = strings.ReplaceAll(quoted, "''", "'")
		case strings.HasPrefix(name, `"`):
			name = strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
		default:
			name = strings.ToLower(name)
		}
		if r.before == "" {
			r.before = r.now
		}
		r.local = m[2] != ""
		r.now = name
	}
}

// tag follows the last command tag of a statement.
func (r *role) tag(tag string) {
	r.back = r.open && tag == "ROLLBACK"
}

// transaction follows the status that the server reports after a statement.
func (r *role) transaction(status byte) {
	was := r.open
	r.open = status != 'I'
	switch {
	case r.open && !was:
		r.start = cmp.Or(r.before, r.now)
	case !r.open && was && (r.back || r.local):
		r.now = r.start
	case !r.open && r.local: // by a statement of its own
		r.now = cmp.Or(r.before, r.now)
	}
	if !r.open {
		r.back, r.local = false, false
	}
}
