package restore

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// WriteScript writes src as an SQL script for psql: definitions, rows and all,
// in the order of a serial restore. The script is a list of statements that
// psql goes through; of opts, what is about connections has no meaning.
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
	plan, err := NewPlan(src, opts)
	if err != nil {
		return err
	}
	s := &sqlScript{ctx: ctx, w: bufio.NewWriterSize(w, 64<<10), src: src, plan: plan, key: restrictKey}
	s.head()
	for i := range plan.Steps {
		if err := s.step(&plan.Steps[i]); err != nil {
			return fmt.Errorf("write script: %s %s: %w", plan.Steps[i].Entry.Kind, describe(plan.Steps[i].Entry), err)
		}
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
	plan *Plan
	key  string
}

func (s *sqlScript) print(text string) { _, _ = s.w.WriteString(text) }

func (s *sqlScript) head() {
	h := s.src.Header()
	s.print("--\n-- PostgreSQL database dump\n--\n\n\\restrict " + s.key + "\n\n")
	s.print("-- Dumped from database version " + quote.Comment(h.ServerVersion) + "\n-- Dumped by pg_dump version " + quote.Comment(h.DumpVersion) + "\n\n")
	s.print("SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n")
	if s.plan.Encoding != "" {
		s.print("SET client_encoding = " + quote.Literal(s.plan.Encoding) + ";\n")
	}
	if s.plan.PlainStrings {
		s.print("SET standard_conforming_strings = on;\n")
	}
	for _, sql := range s.plan.Session {
		s.print(sql + "\n")
	}
	s.print("SET check_function_bodies = false;\nSET xmloption = content;\nSET client_min_messages = warning;\nSET row_security = off;\n\n")
}

func (s *sqlScript) step(step *Step) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if step.Stage == StageDrop {
		s.print(step.SQL + "\n")
		return nil
	}
	e := step.Entry
	s.header(step)
	for _, sql := range step.Setup {
		s.print(sql + "\n")
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
	s.print("--\n-- " + what + quote.Comment(e.Tag) + "; Type: " + quote.Comment(e.Kind) + "; Schema: " + line(e.Namespace) + "; Owner: " + line(e.Owner) + "\n--\n\n")
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
	s.print("BEGIN;\n\n")
	for _, lo := range list {
		s.print(fmt.Sprintf("SELECT pg_catalog.lo_open('%d', 131072);\n", lo.OID))
		if err := s.largeObject(lo); err != nil {
			return fmt.Errorf("large object %d: %w", lo.OID, err)
		}
		s.print("SELECT pg_catalog.lo_close(0);\n\n")
	}
	s.print("COMMIT;\n\n")
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
