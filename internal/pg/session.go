package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Purpose says what a session is for, and with that its settings.
type Purpose int

const (
	// ReadCatalog is pg_dump's session: names come out qualified, dates as ISO.
	ReadCatalog Purpose = iota
	// ReadData is the same with everything pinned that changes COPY text, so
	// that equal rows give equal bytes whatever either end is configured to.
	// lc_monetary is the exception: see Options.LCMonetary.
	ReadData
	// Write is pg_restore's session on a target.
	Write
)

// Options are the ways in which sessions of one purpose differ.
type Options struct {
	// Application is the session's application_name.
	Application string
	// Encoding is the session's client_encoding; "" leaves the connection's.
	// "server" takes the database's own, as pg_dump does.
	Encoding string
	// Role is set with SET ROLE; "" stays the login role.
	Role string
	// LCMonetary pins lc_monetary; "" leaves the database's. It is not pinned
	// in an archive: pg_restore would read the values by its target's own.
	LCMonetary string
	// RowSecurity reads what policies let through instead of failing.
	RowSecurity bool
	// ForeignTables lets queries read tables of foreign servers.
	ForeignTables bool
	// ExtraFloatDigits overrides 3, the exact setting; nil leaves it.
	ExtraFloatDigits *int
	// Direct fails with ErrPooled on a pooler in transaction mode. The first
	// session of a run asks for it, which costs a round trip.
	Direct bool
}

// Connect opens a session of its own for purpose. The caller's config is
// copied, not changed. Statements run without the prepared-statement cache,
// which connection poolers do not keep.
func Connect(ctx context.Context, cfg *pgx.ConnConfig, purpose Purpose, opts Options) (*pgx.Conn, error) {
	c := cfg.Copy()
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity = 0
	c.DescriptionCacheCapacity = 0
	if opts.Application != "" && c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = opts.Application
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 30 * time.Second
	}
	conn, err := connectTapped(ctx, c)
	if err != nil {
		return nil, err
	}
	if opts.Direct {
		if err := direct(ctx, cfg, conn); err != nil {
			Close(conn)
			return nil, err
		}
	}
	if err := Prepare(ctx, conn.PgConn(), purpose, opts); err != nil {
		Close(conn)
		return nil, err
	}
	return conn, nil
}

// Close ends a session even when the caller's context has ended. A statement
// that was cut short by that is cancelled on the server, too: Close waits a
// moment for it, as a program that exits at once would leave the server at work
// or waiting for a lock.
func Close(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

// Prepare makes the settings of purpose in one round trip.
func Prepare(ctx context.Context, c *pgconn.PgConn, purpose Purpose, opts Options) error {
	v, err := ServerVersion(c)
	if err != nil {
		return err
	}
	switch {
	case !v.AtLeast(MinMajor):
		return fmt.Errorf("server is PostgreSQL %s; pghaul knows PostgreSQL %d and later", v, MinMajor)
	case v.Major() > MaxMajor && purpose != Write:
		return fmt.Errorf("server is PostgreSQL %s; this version of pghaul knows the catalogs of %d to %d, and would miss what is new", v, MinMajor, MaxMajor)
	}
	results, err := c.Exec(ctx, settings(v, purpose, opts)).ReadAll()
	if err != nil {
		return fmt.Errorf("set up session: %w", err)
	}
	noteInstance(c, results)
	if purpose == Write && InstanceOf(c).Standby {
		return errors.New("the server is a read replica, which cannot be written to: connect to its primary")
	}
	return nil
}

func settings(v Version, purpose Purpose, opts Options) string {
	var b strings.Builder
	set := func(name, value string) {
		fmt.Fprintf(&b, "SET %s = %s;\n", name, literal(value))
	}
	b.WriteString("SELECT pg_catalog.set_config('search_path', '', false);\n")
	b.WriteString(instanceQuery)
	switch opts.Encoding {
	case "":
	case "server":
		b.WriteString("SELECT pg_catalog.set_config('client_encoding', pg_catalog.current_setting('server_encoding'), false);\n")
	default:
		set("client_encoding", opts.Encoding)
	}
	set("standard_conforming_strings", "on")
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		set(name, "0")
	}
	if v.AtLeast(14) {
		set("idle_session_timeout", "0")
	}
	if v.AtLeast(17) {
		set("transaction_timeout", "0")
	}
	set("DateStyle", "ISO")
	set("IntervalStyle", "postgres")
	rowSecurity := "off"
	if opts.RowSecurity {
		rowSecurity = "on"
	}
	set("row_security", rowSecurity)
	if purpose == Write {
		set("check_function_bodies", "false")
		set("xmloption", "content")
		// A database's own setting would make the NULL in {NULL} a text, or = NULL a test.
		set("array_nulls", "on")
		set("transform_null_equals", "off")
		set("client_min_messages", "warning")
		b.WriteString("SET default_transaction_read_only = off;\n")
	} else {
		digits := 3
		if opts.ExtraFloatDigits != nil {
			digits = *opts.ExtraFloatDigits
		}
		set("extra_float_digits", fmt.Sprint(digits))
		set("synchronize_seqscans", "off")
		set("quote_all_identifiers", "off")
		// CVE-2024-7348: minors since August 2024 know the setting.
		kinds := "view, foreign-table"
		if opts.ForeignTables {
			kinds = "view"
		}
		b.WriteString("SELECT pg_catalog.set_config(name, '" + kinds + "', false) FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind';\n")
	}
	if purpose == ReadCatalog {
		set("jit", "off")
		// What is sorted has some 100 bytes for each column of the database.
		b.WriteString("SELECT pg_catalog.set_config('work_mem', '64MB', false) WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < 64 << 20;\n")
	}
	if purpose == ReadData {
		set("TimeZone", "UTC")
		set("bytea_output", "hex")
	}
	if opts.LCMonetary != "" {
		set("lc_monetary", opts.LCMonetary)
	}
	if opts.Role != "" {
		fmt.Fprintf(&b, "SET ROLE %s;\n", literal(opts.Role))
	}
	return b.String()
}

// literal quotes a string for a session that has standard_conforming_strings
// on or whose value holds no backslash.
func literal(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// Code returns the SQLSTATE of a server's error, "" for other errors.
func Code(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}
