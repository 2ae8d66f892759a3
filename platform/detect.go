package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Detect reads the facts of the database that conn is connected to, by what
// any role can read, in a few round trips. It changes nothing. conn must not be
// in the middle of a transaction that has failed.
//
// Jobs of pg_cron are often in another database of the server; Detect connects
// there with conn's configuration. What it may not read is in Facts.Unread.
func Detect(ctx context.Context, conn *pgx.Conn) (*Facts, error) {
	return DetectAs(ctx, conn, "")
}

// DetectAs is Detect for a platform that the caller names; "" finds it out.
func DetectAs(ctx context.Context, conn *pgx.Conn, name Name) (*Facts, error) {
	if name != "" {
		if _, err := name.service(); err != nil {
			return nil, err
		}
	}
	return detect(ctx, conn, name, true)
}

// detect is DetectAs with all facts, or with those that matter of a source only.
func detect(ctx context.Context, conn *pgx.Conn, name Name, all bool) (*Facts, error) {
	f := &Facts{Host: conn.Config().Host, Parameters: map[string]Parameter{}}
	var seen signs
	version, err := serverVersion(ctx, conn)
	if err != nil {
		return nil, err
	}
	f.Version = version
	if err := send(ctx, conn, f.queries(version/10000, &seen, all)); err != nil {
		return nil, fmt.Errorf("read the facts of database %q: %w", conn.Config().Database, err)
	}
	for _, r := range f.Roles {
		seen.roles = append(seen.roles, r.Name)
	}
	f.recognise(name, seen)
	i := slices.IndexFunc(f.Roles, func(r Role) bool { return r.Name == f.User.Name })
	if i < 0 {
		return nil, fmt.Errorf("read the facts of database %q: role %q is not in pg_roles", f.Database, f.User.Name)
	}
	f.User = f.Roles[i]
	f.readCron(ctx, conn)
	return f, nil
}

// Recognise tells which platform the database that conn is connected to is on,
// in one round trip, without the facts that Detect reads.
func Recognise(ctx context.Context, conn *pgx.Conn) (Name, error) {
	var f Facts
	var seen signs
	err := send(ctx, conn, []query{
		f.signsQuery(&seen),
		names(&seen.roles, `SELECT rolname::text FROM pg_catalog.pg_roles`),
		{
			sql: `SELECT ` + templateOwner,
			row: func(rows pgx.Rows) error { return rows.Scan(&seen.owner) },
		},
	})
	if err != nil {
		return "", fmt.Errorf("recognise the platform of database %q: %w", conn.Config().Database, err)
	}
	f.recognise("", seen)
	return f.Platform, nil
}

// recognise settles which platform the facts are of.
func (f *Facts) recognise(name Name, seen signs) {
	for _, s := range services() {
		if name == "" && s.detect(seen) || name == s.name {
			f.Platform = s.name
			if s.privileged != nil {
				f.Privileged = s.privileged(seen)
			}
			break
		}
	}
	if !slices.Contains(seen.roles, f.Privileged) {
		f.Privileged = ""
	}
}

func serverVersion(ctx context.Context, conn *pgx.Conn) (int, error) {
	var version int
	// A parameter status, which costs no round trip, is not always there: poolers
	// may send none.
	if s := conn.PgConn().ParameterStatus("server_version"); s != "" {
		var major, minor int
		if n, _ := fmt.Sscanf(s, "%d.%d", &major, &minor); n > 0 {
			return major*10000 + minor, nil
		}
	}
	err := conn.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::int").Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read the server's version: %w", err)
	}
	return version, nil
}

// A query is one of a batch.
type query struct {
	sql string
	row func(pgx.Rows) error // nil: what it returns does not matter
}

// send runs queries in one round trip, as one transaction.
func send(ctx context.Context, conn *pgx.Conn, queries []query) (err error) {
	var batch pgx.Batch
	for _, q := range queries {
		batch.Queue(q.sql)
	}
	results := conn.SendBatch(ctx, &batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for _, q := range queries {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		for rows.Next() {
			if q.row == nil {
				continue
			}
			if err := q.row(rows); err != nil {
				rows.Close()
				return err
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// readCron reads the jobs of pg_cron that the user may see: his own.
func (f *Facts) readCron(ctx context.Context, conn *pgx.Conn) {
	here := slices.ContainsFunc(f.Extensions, func(e Extension) bool { return e.Name == "pg_cron" })
	there := f.Parameters["cron.database_name"].Value
	if there == "" && (f.Platform == AzureFlexible || f.Platform == AzureSingle) {
		there = "postgres"
	}
	switch {
	case here:
		if err := f.readJobs(ctx, conn); err != nil {
			f.Unread = append(f.Unread, fmt.Sprintf("jobs of pg_cron: %v", err))
		}
	case there != "" && there != f.Database && slices.Contains(f.Databases, there):
		if err := f.readJobsOf(ctx, conn, there); err != nil {
			f.Unread = append(f.Unread, fmt.Sprintf("jobs of pg_cron in database %q: %v", there, err))
		}
	}
}

func (f *Facts) readJobsOf(ctx context.Context, conn *pgx.Conn, database string) error {
	cfg := conn.Config() // a copy
	cfg.Database = database
	other, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = other.Close(ctx) // nothing was changed there
	}()
	return f.readJobs(ctx, other)
}

// readJobs reads cron.job as it is: its columns differ between versions.
func (f *Facts) readJobs(ctx context.Context, conn *pgx.Conn) error {
	err := send(ctx, conn, []query{
		{sql: "SELECT pg_catalog.set_config('row_security', 'on', true)"},
		{
			sql: `SELECT pg_catalog.to_jsonb(j)::text FROM cron.job j ORDER BY j.jobid`,
			row: func(rows pgx.Rows) error {
				var text string
				if err := rows.Scan(&text); err != nil {
					return err
				}
				job := struct {
					JobID                                          int64
					JobName, Schedule, Command, Database, Username string
					Active                                         *bool
				}{}
				if err := json.Unmarshal([]byte(text), &job); err != nil {
					return err
				}
				f.CronJobs = append(f.CronJobs, CronJob{
					ID: job.JobID, Name: job.JobName, Schedule: job.Schedule, Command: job.Command, Database: job.Database,
					User: job.Username, Active: job.Active == nil || *job.Active,
				})
				return nil
			},
		},
	})
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42P01" || ok && pgErr.Code == "3F000" {
		return nil // pg_cron is not installed there
	}
	return err
}
