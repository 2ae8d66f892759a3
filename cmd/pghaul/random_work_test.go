//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
)

// keys is how many different keys are drawn.
const keys = 120

func (s *randomSchema) value(c randomColumn) string {
	if s.r.IntN(6) == 0 {
		return "NULL"
	}
	switch c.typ {
	case "up":
		return fmt.Sprintf("%d", s.r.IntN(keys))
	case "pos":
		return fmt.Sprintf("%d", -s.r.IntN(1000))
	case "during":
		n := s.r.IntN(3000)
		return fmt.Sprintf("'[%d,%d)'", n, n+1+s.r.IntN(3))
	case "big":
		return fmt.Sprintf("repeat('%08x', %d)", s.r.Uint32(), 200+s.r.IntN(1500))
	case "big bytea":
		return fmt.Sprintf("decode(repeat('%08x', %d), 'hex')", s.r.Uint32(), 500+s.r.IntN(1000))
	case "integer":
		if s.r.IntN(2) == 0 {
			return fmt.Sprintf("%d", s.r.Int32())
		}
	}
	list := randomValues[c.typ]
	v := list[s.r.IntN(len(list))]
	if strings.HasPrefix(v, "'") {
		v += "::" + c.typ
	}
	return v
}

// keyValue is a key by its number.
func (s *randomSchema) keyValue(c randomColumn) string {
	n := s.r.IntN(keys)
	if c.name == "region" {
		return fmt.Sprintf("%d", n%6)
	}
	if c.name == "k2" || c.name == "b" {
		n %= 4 // composite keys are to be met again
	}
	return fmt.Sprintf(keyTypes[c.typ], n)
}

// found is a condition that some rows of a table satisfy.
func (s *randomSchema) found(t *randomTable) string {
	if t.full || s.r.IntN(8) == 0 {
		if len(t.key) == 0 {
			return fmt.Sprintf("ctid = (SELECT min(ctid::text)::tid FROM %s)", t.name)
		}
		if t.key[0].typ == "integer" {
			return fmt.Sprintf("%s %% 17 = %d", t.key[0].name, s.r.IntN(17))
		}
	}
	c := t.key[s.r.IntN(len(t.key))]
	return c.name + " = " + s.keyValue(c)
}

// change is a statement on a random table.
func (s *randomSchema) change(truncate bool) string {
	t := s.tables[s.r.IntN(len(s.tables))]
	switch n := s.r.IntN(24); {
	case strings.HasSuffix(t.name, ".bulk") && n > 5:
		return "SELECT 2"
	case strings.HasSuffix(t.name, ".bulk"):
		return s.bulkChange(n)
	case t.chosen:
		return "SELECT 1"
	case len(t.key) == 0:
		return []string{"INSERT INTO " + t.name + " DEFAULT VALUES", "DELETE FROM " + t.name + " WHERE " + s.found(t)}[n%2]
	case n < 9:
		return s.insert(t, 1+s.r.IntN(4), n)
	case n < 16 && len(t.cols) > 0:
		return s.update(t)
	case n < 18:
		c := t.key[s.r.IntN(len(t.key))]
		return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", t.name, c.name, s.keyValue(c), s.found(t))
	case n < 19 && t.key[0].typ == "integer":
		return fmt.Sprintf("UPDATE %s SET %[2]s = %[2]s WHERE %[2]s %% 5 = %d", t.name, t.key[0].name, s.r.IntN(5))
	case n == 20 && truncate && s.r.IntN(3) == 0:
		return "TRUNCATE " + t.name + []string{" CASCADE", " RESTART IDENTITY CASCADE"}[s.r.IntN(2)]
	default:
		return "DELETE FROM " + t.name + " WHERE " + s.found(t)
	}
}

func (s *randomSchema) insert(t *randomTable, rows, n int) string {
	names, tuples := []string{}, []string{}
	for _, c := range t.key {
		names = append(names, c.name)
	}
	for _, c := range t.cols {
		names = append(names, c.name)
	}
	for range rows {
		var values []string
		for _, c := range t.key {
			values = append(values, s.keyValue(c))
		}
		for _, c := range t.cols {
			values = append(values, s.value(c))
		}
		tuples = append(tuples, "("+strings.Join(values, ", ")+")")
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", t.name, strings.Join(names, ", "), strings.Join(tuples, ", "))
	var key []string
	for _, c := range t.key {
		key = append(key, c.name)
	}
	switch {
	case t.full:
		return sql
	case n == 0 && len(t.cols) > 0 && rows == 1 && t.cols[0].typ != "pos" && t.cols[0].typ != "up":
		return fmt.Sprintf("%s ON CONFLICT (%s) DO UPDATE SET %s = EXCLUDED.%[3]s", sql, strings.Join(key, ", "), t.cols[0].name)
	}
	if strings.Contains(sql, "during") || t.cols != nil && t.cols[len(t.cols)-1].typ == "pos" {
		return sql // a constraint that can be deferred arbitrates nothing
	}
	return sql + " ON CONFLICT DO NOTHING"
}

func (s *randomSchema) update(t *randomTable) string {
	var set []string
	for range 1 + s.r.IntN(2) {
		c := t.cols[s.r.IntN(len(t.cols))]
		if c.typ == "pos" && s.r.IntN(2) == 0 {
			return fmt.Sprintf("UPDATE %s SET pos = pos + 1", t.name)
		}
		assign := c.name + " = " + s.value(c)
		if len(set) == 0 || !strings.HasPrefix(set[0], c.name+" ") {
			set = append(set, assign)
		}
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.name, strings.Join(set, ", "), s.found(t))
}

func (s *randomSchema) bulkChange(n int) string {
	rows := []int{100, 3000}[s.r.IntN(2)]
	if s.large == 0 && n%4 == 0 {
		rows = 100_000
	}
	switch n % 4 {
	case 0:
		s.large++
		return fmt.Sprintf("INSERT INTO other.bulk SELECT i, repeat('b', i %% 40), i / 3.0 FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING", n*1000, n*1000+rows)
	case 1:
		return fmt.Sprintf("UPDATE other.bulk SET n = n + 1 WHERE k BETWEEN %d AND %d", n*1000, n*1000+rows/10)
	case 2:
		return fmt.Sprintf("UPDATE other.bulk SET k = -k, v = NULL WHERE k BETWEEN %d AND %d AND k > 0 AND NOT EXISTS (SELECT FROM other.bulk WHERE k < 0)", n*1000, n*1000+50)
	default:
		return fmt.Sprintf("DELETE FROM other.bulk WHERE k %% 3 = %d", n%3)
	}
}

// A randomWork changes a database at random through some sessions, which one
// goroutine drives.
type randomWork struct {
	s        *randomSchema
	cfg      *pgx.ConnConfig
	truncate atomic.Bool
	twoPhase atomic.Bool
	id       string
	stop     chan struct{}
	done     chan struct{}
	err      error
	commits  int
	refused  map[string]int // statements, by their error's code
}

type randomSession struct {
	conn  *pgx.Conn
	left  int // statements until the end; 0 outside of a transaction
	saves int
	gid   string
}

// run works until it is stopped.
func (w *randomWork) run(ctx context.Context) {
	defer close(w.done)
	var sessions [3]randomSession
	defer func() {
		for i := range sessions {
			w.leave(ctx, &sessions[i])
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		i := w.s.r.IntN(len(sessions))
		err := w.step(ctx, &sessions[i], i)
		var pe *pgconn.PgError
		switch {
		case err == nil:
		case errors.As(err, &pe) && pe.Code == "25006": // fenced, for now or for good
			_ = sessions[i].conn.Close(ctx)
			sessions[i] = randomSession{gid: sessions[i].gid}
			time.Sleep(20 * time.Millisecond)
		case errors.As(err, &pe) && sessions[i].conn != nil && !sessions[i].conn.IsClosed():
			w.refused[pe.Code]++
			if pe.Code[:2] == "42" || pe.Code[:2] == "22" {
				w.err = err
				return
			}
			_, _ = sessions[i].conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
			sessions[i].left = 0
		default: // ended by the fence, or by the test
			if sessions[i].conn != nil {
				_ = sessions[i].conn.Close(ctx)
			}
			sessions[i] = randomSession{gid: sessions[i].gid}
			time.Sleep(20 * time.Millisecond)
		}
		if n%4 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// leave ends a session with nothing open.
func (w *randomWork) leave(ctx context.Context, s *randomSession) {
	if s.gid != "" && (s.conn == nil || s.conn.IsClosed()) {
		s.conn, _ = pgx.ConnectConfig(ctx, w.cfg)
	}
	if s.conn == nil {
		return
	}
	if s.gid != "" {
		_, _ = s.conn.PgConn().Exec(ctx, "ROLLBACK PREPARED '"+s.gid+"'").ReadAll()
	}
	_ = s.conn.Close(ctx)
}

func (w *randomWork) step(ctx context.Context, s *randomSession, i int) error {
	r := w.s.r
	if s.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, w.cfg)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	exec := func(sql string) error {
		if _, err := s.conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return fmt.Errorf("%.2000s: %w", sql, err)
		}
		return nil
	}
	switch {
	case s.gid != "" && r.IntN(4) == 0:
		err := exec([]string{"COMMIT", "ROLLBACK"}[r.IntN(2)] + " PREPARED '" + s.gid + "'")
		if err == nil || pg.Code(err) == "42704" { // the second time, perhaps
			s.gid = ""
			return nil
		}
		return err
	case s.gid != "":
		return nil
	case s.left == 0:
		s.left, s.saves = 1+r.IntN(8), 0
		return exec("BEGIN" + []string{"", " ISOLATION LEVEL REPEATABLE READ"}[r.IntN(2)])
	case s.left > 1:
		s.left--
		switch r.IntN(16) {
		case 0:
			s.saves++
			return exec(fmt.Sprintf("SAVEPOINT s%d", s.saves))
		case 1:
			if s.saves > 0 {
				s.saves--
				return exec(fmt.Sprintf("%s s%d", []string{"ROLLBACK TO", "RELEASE"}[r.IntN(2)], s.saves+1))
			}
		}
		return exec(w.s.change(w.truncate.Load()))
	}
	s.left = 0
	switch n := r.IntN(12); {
	case n == 0:
		return exec("ROLLBACK")
	case n == 1 && w.twoPhase.Load():
		s.gid = fmt.Sprintf("%s_%d", w.id, i)
		return exec("PREPARE TRANSACTION '" + s.gid + "'")
	}
	if err := exec("COMMIT"); err != nil {
		return err
	}
	w.commits++
	return nil
}
