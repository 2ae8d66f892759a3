//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Exec runs a script of any number of statements as the superuser, in one
// simple-protocol query: all of it or nothing, unless it commits in between.
func (s *Server) Exec(ctx context.Context, database, sql string) error {
	return s.ExecAs(ctx, s.Superuser, database, sql)
}

// ExecAs is Exec for another user.
func (s *Server) ExecAs(ctx context.Context, user, database, sql string) error {
	conn, err := pgconn.Connect(ctx, s.UserDSN(user, database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return execute(ctx, conn, sql)
}

// execute names the line that a statement failed in.
func execute(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		text := []rune(sql)
		line := 1 + strings.Count(string(text[:min(int(pe.Position), len(text))]), "\n")
		return fmt.Errorf("line %d: %w (detail: %s, hint: %s, where: %s)", line, err, pe.Detail, pe.Hint, pe.Where)
	}
	return err
}

// RunChunks runs a platform script as the superuser. Lines that start with
// "--@@ db=NAME" divide it into chunks; each is one simple-protocol query in
// database NAME, on one connection while the name stays the same. A chunk
// whose header says "optional" may fail. Lines that start with a backslash are
// for psql and dropped.
func (s *Server) RunChunks(ctx context.Context, script string) error {
	var conn *pgconn.PgConn
	defer func() {
		if conn != nil {
			conn.Close(context.WithoutCancel(ctx))
		}
	}()
	current := ""
	for n, part := range strings.Split("\n"+script, "\n--@@ ") {
		header, body, _ := strings.Cut(part, "\n")
		if n == 0 {
			continue // what stands before the first header is a comment
		}
		words := strings.Fields(header)
		database, ok := strings.CutPrefix(words[0], "db=")
		if !ok {
			return fmt.Errorf("chunk %d: header %q does not start with db=", n, header)
		}
		if database != current {
			if conn != nil {
				conn.Close(ctx)
			}
			var err error
			if conn, err = pgconn.Connect(ctx, s.DSN(database)); err != nil {
				return fmt.Errorf("chunk %d (%s): %w", n, header, err)
			}
			current = database
		}
		err := execute(ctx, conn, withoutBackslashes(body))
		optional := len(words) > 1 && strings.HasPrefix(words[1], "optional")
		if err != nil && !optional {
			return fmt.Errorf("chunk %d (%s): %w", n, header, err)
		}
	}
	return nil
}

func withoutBackslashes(sql string) string {
	var kept strings.Builder
	for line := range strings.Lines(sql) {
		if strings.HasPrefix(line, `\`) {
			line = "\n"
		}
		kept.WriteString(line)
	}
	return kept.String()
}

// Load runs a script written for psql as a user: backslash commands and CREATE
// or DROP DATABASE lines are left out, blocks of COPY ... FROM stdin are
// copied. What stands between two such blocks is one transaction.
func (s *Server) Load(ctx context.Context, user, database, script string) error {
	conn, err := pgconn.Connect(ctx, s.UserDSN(user, database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var statements, rows strings.Builder
	copying := ""
	first, number := 1, 0
	for line := range strings.Lines(script) {
		number++
		bare := strings.TrimRight(line, "\r\n")
		upper := strings.ToUpper(bare)
		switch {
		case copying != "" && bare == `\.`:
			if _, err := conn.CopyFrom(ctx, strings.NewReader(rows.String()), copying); err != nil {
				return fmt.Errorf("line %d: %s: %w", number, copying, err)
			}
			copying, first = "", number+1
			rows.Reset()
		case copying != "":
			rows.WriteString(line)
		case strings.HasPrefix(upper, "COPY ") && strings.HasSuffix(upper, "FROM STDIN;"):
			if err := execute(ctx, conn, statements.String()); err != nil {
				return fmt.Errorf("after line %d: %w", first, err)
			}
			statements.Reset()
			copying = bare
		case strings.HasPrefix(bare, `\`), strings.HasPrefix(upper, "CREATE DATABASE "), strings.HasPrefix(upper, "DROP DATABASE "):
			statements.WriteString("\n")
		default:
			statements.WriteString(line)
		}
	}
	if copying != "" {
		return fmt.Errorf("%s: the data has no end", copying)
	}
	if err := execute(ctx, conn, statements.String()); err != nil {
		return fmt.Errorf("after line %d: %w", first, err)
	}
	return nil
}

// Query runs one statement as the superuser and returns its rows as text, a
// null as the empty string.
func (s *Server) Query(ctx context.Context, database, sql string) ([][]string, error) {
	conn, err := pgconn.Connect(ctx, s.DSN(database))
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("%s: want one result, got %d", sql, len(results))
	}
	rows := make([][]string, len(results[0].Rows))
	for i, row := range results[0].Rows {
		for _, value := range row {
			rows[i] = append(rows[i], string(value))
		}
	}
	return rows, nil
}
