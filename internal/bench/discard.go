//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/pg"
)

// discard reads all tables of a database, large ones in parts, with some
// connections and throws the rows away: what no dump can be faster than.
func discard(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench discard URL JOBS")
	}
	jobs, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig(args[0])
	if err != nil {
		return err
	}
	conn, err := pg.Connect(ctx, cfg, pg.ReadData, pg.Options{})
	if err != nil {
		return err
	}
	// As many parts as a dump makes: of 64 MiB at least, four for each worker.
	const query = `SELECT pg_catalog.format('COPY (SELECT * FROM %s WHERE ctid >= ''(%s,0)''%s) TO STDOUT', c.oid::pg_catalog.regclass, n * b / parts,
	CASE WHEN n + 1 < parts THEN pg_catalog.format(' AND ctid < ''(%s,0)''', (n + 1) * b / parts) ELSE '' END)
FROM pg_catalog.pg_class c, LATERAL (SELECT pg_catalog.pg_relation_size(c.oid) / 8192 AS b, pg_catalog.pg_table_size(c.oid) AS size) s,
	LATERAL (SELECT greatest(1, least($1::int8 * 4, size / 67108864)) AS parts) p, LATERAL pg_catalog.generate_series(0, parts - 1) n
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::pg_catalog.regnamespace ORDER BY size / parts DESC, n`
	rows, err := conn.Query(ctx, query, jobs)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	pg.Close(conn)
	if err != nil {
		return fmt.Errorf("list the parts: %w", err)
	}
	parts := make(chan string, len(list))
	for _, sql := range list {
		parts <- sql
	}
	close(parts)
	g, ctx := errgroup.WithContext(ctx)
	for range jobs {
		g.Go(func() error {
			conn, err := pg.Connect(ctx, cfg, pg.ReadData, pg.Options{})
			if err != nil {
				return err
			}
			defer pg.Close(conn)
			for sql := range parts {
				if _, err := pg.CopyOut(ctx, conn.PgConn(), sql, io.Discard); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
