package restore

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// WriteScript writes src as an SQL script for psql: definitions, rows and all,
// in the order of a serial restore. The script is a list of statements that
// psql goes through; of opts, Jobs, ExitOnError and NoDataForFailedTables have no
// meaning in it.
//
// restrictKey, of letters and digits, keeps psql from obeying backslash
// commands that stand where rows of a COPY that failed are read as commands:
// psql must meet the same key again before it does (psql since August 2025;
// older ones report the command as unknown and go on).
func WriteScript(ctx context.Context, w io.Writer, src Source, opts Options, restrictKey string) error {
	if restrictKey == "" || strings.ContainsFunc(restrictKey, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return fmt.Errorf("write script: restrict key %q is not made of letters and digits", restrictKey)
	}
	p, err := newPlanner(src, opts)
	if err != nil {
		return err
	}
	p.script = true
	plan, err := p.make()
	if err != nil {
		return err
	}
	if err := plan.writable(); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	if strings.ContainsAny(plan.Database, "\n\r") {
		return fmt.Errorf("write script: the database name %q has a line break, which psql's connect command cannot take", plan.Database)
	}
	s := &sqlScript{ctx: ctx, w: bufio.NewWriterSize(w, 64<<10), src: src, opts: opts, plan: plan, key: restrictKey}
	for _, text := range plan.Warnings {
		if opts.Logger != nil {
			opts.Logger.Warn(text)
		}
	}
	s.head()
	for i := range plan.Steps {
		if err := s.step(&plan.Steps[i]); err != nil {
			return fmt.Errorf("write script: %s %s: %w", plan.Steps[i].Entry.Kind, describe(plan.Steps[i].Entry), err)
		}
	}
	if s.begun {
		s.print("COMMIT;\n\n")
	}
	s.print("--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict " + s.key + "\n\n")
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	return nil
}

// An sqlScript is one script under way. Errors of w stick to it until Flush.
type sqlScript struct {
	ctx  context.Context
	w    *bufio.Writer
	src  Source
	opts Options
	plan *Plan
	key  string
	// tablespace and accessMethod are the defaults set; nil before the first.
	tablespace, accessMethod *string
	begun                    bool // a transaction is open
	steps                    int  // in it
}

func (s *sqlScript) print(text string) { _, _ = s.w.WriteString(text) }

func (s *sqlScript) head() {
	h := s.src.Header()
	s.print("--\n-- PostgreSQL database dump\n--\n\n\\restrict " + s.key + "\n\n")
	s.print("-- Dumped from database version " + quote.Comment(h.ServerVersion) + "\n-- Dumped by pg_dump version " + quote.Comment(h.DumpVersion) + "\n\n")
	if s.opts.transactional() && s.plan.Database == "" {
		s.begin()
	}
	s.settings()
}

func (s *sqlScript) begin() {
	s.print("BEGIN;\n\n")
	s.begun, s.steps = true, 0
}

// settings sets up the session.
func (s *sqlScript) settings() {
	s.tablespace, s.accessMethod = nil, nil
	s.print("SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n")
	if s.plan.Encoding != "" {
		s.print("SET client_encoding = " + quote.Literal(s.plan.Encoding) + ";\n")
	}
	if s.plan.PlainStrings {
		s.print("SET standard_conforming_strings = on;\n")
	}
	if s.opts.Role != "" {
		s.print(setRole(s.opts.Role) + "\n")
	}
	for _, sql := range s.plan.Session {
		s.print(sql + "\n")
	}
	s.print("SET check_function_bodies = false;\nSET xmloption = content;\nSET client_min_messages = warning;\n")
	if s.opts.RowSecurity {
		s.print("SET row_security = on;\n\n")
	} else {
		s.print("SET row_security = off;\n\n")
	}
}

// connect goes on in the database that was created or has got its settings.
func (s *sqlScript) connect() {
	s.print("\\unrestrict " + s.key + "\n\\connect " + connectArgument(s.plan.Database) + "\n\\restrict " + s.key + "\n\n")
	s.settings()
}

// connectArgument writes a database name for psql's connect command, which takes
// some names for something else: connection strings and options.
func connectArgument(database string) string {
	if !strings.ContainsFunc(database, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '.'
	}) {
		return quote.Ident(database)
	}
	value := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database)
	return "-reuse-previous=on " + `"` + strings.ReplaceAll("dbname='"+value+"'", `"`, `""`) + `"`
}

// transaction opens the transaction a step belongs to, if it belongs to one. A
// database is neither dropped nor created in one.
func (s *sqlScript) transaction(step *Step) {
	if !s.opts.transactional() || step.Stage == StageCreate || step.Stage == StageDrop && s.plan.Database != "" {
		return
	}
	if s.begun && s.steps == s.opts.TransactionSize && s.steps > 0 {
		s.print("COMMIT;\n\n")
		s.begun = false
	}
	if !s.begun {
		s.begin()
	}
	s.steps++
}

// storage sets where what the step creates is stored.
func (s *sqlScript) storage(step *Step) {
	if want := step.tablespace; want != nil && (s.tablespace == nil || *s.tablespace != *want) {
		s.print(setTablespace(*want) + "\n\n")
		s.tablespace = want
	}
	if want := step.accessMethod; want != nil && (s.accessMethod == nil || *s.accessMethod != *want) {
		s.print(setAccessMethod(*want) + "\n\n")
		s.accessMethod = want
	}
}

func (s *sqlScript) step(step *Step) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.transaction(step)
	if step.Stage == StageDrop {
		for _, sql := range append(step.Setup, step.SQL) {
			s.print(sql + "\n")
		}
		return nil
	}
	s.storage(step)
	e := step.Entry
	s.header(step)
	for _, sql := range slices.Concat(step.Setup, step.Enter) {
		s.print(sql + "\n\n")
	}
	switch step.Action {
	case ActionCopy:
		s.print(strings.TrimSpace(step.SQL))
		if !strings.HasSuffix(strings.TrimSpace(step.SQL), ";") {
			s.print(";")
		}
		s.print("\n")
		if err := s.rows(e, step.Part); err != nil {
			return err
		}
		s.print("\\.\n\n\n")
	case ActionInsert:
		if err := s.rows(e, step.Part); err != nil {
			return err
		}
		s.print("\n\n")
	case ActionLargeObjects:
		if err := s.largeObjects(e); err != nil {
			return err
		}
	case ActionCreateLargeObjects:
		for oid := range strings.FieldsSeq(step.SQL) {
			s.print(createLargeObject(oid) + "\n")
		}
		if step.Owner != "" {
			for oid := range strings.FieldsSeq(step.SQL) {
				s.print(largeObjectOwner(oid, step.Owner) + "\n")
			}
		}
		s.print("\n")
	case ActionSQL:
		if sql := strings.TrimSpace(step.SQL); sql != "" {
			s.print(sql + "\n\n\n")
		}
	}
	for _, sql := range step.Finish {
		s.print(sql + "\n\n")
	}
	if e.Kind == "DATABASE" || e.Kind == "DATABASE PROPERTIES" {
		s.connect()
	}
	return nil
}

// header names what follows. Newlines in names are taken out, so that nothing
// in a name leaves the comment.
func (s *sqlScript) header(step *Step) {
	e := step.Entry
	line := func(text string) string {
		if text == "" {
			return "-"
		}
		return quote.Comment(text)
	}
	what := "Name: "
	if e.HasData {
		what = "Data for Name: "
	}
	owner := e.Owner
	if s.opts.NoOwner {
		owner = ""
	}
	text := "--\n-- " + what + quote.Comment(e.Tag) + "; Type: " + quote.Comment(e.Kind) + "; Schema: " + line(e.Namespace) + "; Owner: " + line(owner)
	if step.tablespace != nil && *step.tablespace != "" {
		text += "; Tablespace: " + quote.Comment(*step.tablespace)
	}
	s.print(text + "\n--\n\n")
}

func (s *sqlScript) rows(e *archive.Entry, part archive.Part) error {
	data, err := s.src.Data(s.ctx, e, part)
	if err != nil {
		return err
	}
	_, err = data.CopyTo(s.ctx, s.w)
	return err
}

// loPiece is how many bytes of a large object one lowrite call carries.
const loPiece = 16 << 10

// largeObjects writes the contents of large objects, in one transaction:
// descriptors live no longer.
func (s *sqlScript) largeObjects(e *archive.Entry) error {
	list, err := s.src.LargeObjects(e)
	if err != nil {
		return err
	}
	if !s.begun {
		s.print("BEGIN;\n\n")
	}
	for _, lo := range list {
		s.print(fmt.Sprintf("SELECT pg_catalog.lo_open('%d', 131072);\n", lo.OID))
		if err := s.largeObject(lo); err != nil {
			return fmt.Errorf("large object %d: %w", lo.OID, err)
		}
		s.print("SELECT pg_catalog.lo_close(0);\n\n")
	}
	if !s.begun {
		s.print("COMMIT;\n\n")
	}
	return nil
}

func (s *sqlScript) largeObject(lo archive.LargeObject) (err error) {
	r, err := s.src.OpenLargeObject(s.ctx, lo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	piece := make([]byte, loPiece)
	for {
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			s.print(`SELECT pg_catalog.lowrite(0, '\x` + hex.EncodeToString(piece[:n]) + "');\n")
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
