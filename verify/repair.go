package verify

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

const repairHead = `-- Statements that would make the target like the source, for somebody to read
-- before they run. Triggers fire and constraints hold: where those are in the
-- way, SET session_replication_role = replica, if the role may.
SET client_encoding = %s;
SET standard_conforming_strings = on;
SET search_path = '';
SET DateStyle = ISO;
SET IntervalStyle = postgres;
SET TimeZone = 'UTC';
SET bytea_output = hex;
SET extra_float_digits = 3;
SET row_security = off;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
`

// A script is what statements are written to. An error of the file comes up when
// it is flushed.
type script struct{ *bufio.Writer }

func (s *script) printf(format string, args ...any) { _, _ = fmt.Fprintf(s, format, args...) }

// beginRepair writes the head of the statements that repair the target.
func (c *comparison) beginRepair() {
	if c.opts.Repair == nil {
		return
	}
	c.repair = &script{bufio.NewWriter(c.opts.Repair)}
	c.repair.printf(repairHead, quote.Literal(c.encoding))
}

// endRepair writes what is to be done about sequences, and the end.
func (c *comparison) endRepair() error {
	if c.repair == nil {
		return nil
	}
	for _, s := range c.report.Sequences {
		if !s.Equal && s.Source != nil && s.Target != nil {
			c.repair.printf("\nSELECT pg_catalog.setval(%s, %d, %v);\n", quote.Literal(quote.Qualified(s.Schema, s.Name)), s.Source.Last, s.Source.Called)
		}
	}
	c.repair.printf("\nCOMMIT;\n")
	if err := c.repair.Flush(); err != nil {
		return fmt.Errorf("write the statements of the repair: %w", err)
	}
	return nil
}

// repair writes the statements for one table: rows that should not be there go
// first, so that none is in another's way.
func (d *drill) repair(ctx context.Context) error {
	w := d.c.repair
	w.printf("\n-- %s: %d missing, %d extra, %d changed\n", quote.Comment(d.pairs[0].String()), d.report.Missing, d.report.Extra, d.report.Changed)
	if d.report.AtLeast || d.partial {
		w.printf("-- There are more differences than these: compare again after the repair.\n")
	}
	table := d.target()
	done := map[uint64]bool{} // also makes sure that no statement comes twice if a connection is lost
	err := d.each(ctx, 1, func() {}, func(row []byte) {
		k := d.keyHash(row)
		if a := d.actions[k]; (a.remove > 0 || a.replace) && !done[k] {
			done[k] = true
			w.printf("%s;\n", d.deletion(table, row, int(a.remove)))
		}
	})
	if err != nil {
		return err
	}
	clear(done)
	seen, written := map[uint64]int{}, map[uint64]int{}
	err = d.each(ctx, 0, func() { clear(seen) }, func(row []byte) {
		k := d.keyHash(row)
		a := d.actions[k]
		if a.replace {
			if seen[k]++; seen[k] > written[k] {
				written[k]++
				w.printf("%s;\n", d.insertion(table, row))
			}
			return
		}
		if a == (action{}) || done[k] {
			return
		}
		done[k] = true
		switch {
		case a.change:
			w.printf("%s;\n", d.update(table, row))
		default:
			for range a.insert {
				w.printf("%s;\n", d.insertion(table, row))
			}
		}
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the statements of the repair: %w", err)
	}
	return nil
}

// target is the name of the table to repair.
func (d *drill) target() string {
	p := d.pairs[0]
	if p.root != nil {
		return quote.Qualified(p.root.Schema, p.root.Name)
	}
	for _, p := range d.pairs {
		if p.items[1] != nil {
			return p.items[1].data.Table.QualifiedName()
		}
	}
	return p.String()
}

// literal is a field as SQL.
func literal(field []byte) string {
	text, isNull := unescape(field)
	if isNull {
		return "NULL"
	}
	return quote.Literal(text)
}

// where selects the row by its key.
func (d *drill) where(fields [][]byte) string {
	var parts []string
	for _, n := range d.key {
		parts = append(parts, quote.Ident(d.columns[n])+" = "+literal(fields[n]))
	}
	return strings.Join(parts, " AND ")
}

// deletion deletes a row. One without a key is found by the text of all its
// columns, and n of its kind go.
func (d *drill) deletion(table string, row []byte, n int) string {
	fields := bytes.Split(row, []byte{'\t'})
	if d.key != nil {
		return "DELETE FROM " + table + " WHERE " + d.where(fields)
	}
	parts := []string{"true"}
	for i, name := range d.columns {
		if text, isNull := unescape(fields[i]); isNull {
			parts = append(parts, quote.Ident(name)+" IS NULL")
		} else {
			parts = append(parts, quote.Ident(name)+" IS NOT NULL AND pg_catalog.format('%s', "+quote.Ident(name)+") = "+quote.Literal(text))
		}
	}
	return fmt.Sprintf("DELETE FROM ONLY %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY %s WHERE %s LIMIT %d))", table, table, strings.Join(parts, " AND "), n)
}

func (d *drill) insertion(table string, row []byte) string {
	if len(d.columns) == 0 {
		return "INSERT INTO " + table + " DEFAULT VALUES"
	}
	values := []string{}
	for field := range bytes.SplitSeq(row, []byte{'\t'}) {
		values = append(values, literal(field))
	}
	return "INSERT INTO " + table + " (" + quote.Idents(d.columns) + ") OVERRIDING SYSTEM VALUE VALUES (" + strings.Join(values, ", ") + ")"
}

func (d *drill) update(table string, row []byte) string {
	fields := bytes.Split(row, []byte{'\t'})
	var set []string
	for n, name := range d.columns {
		if !slices.Contains(d.key, n) {
			set = append(set, quote.Ident(name)+" = "+literal(fields[n]))
		}
	}
	return "UPDATE " + table + " SET " + strings.Join(set, ", ") + " WHERE " + d.where(fields)
}
