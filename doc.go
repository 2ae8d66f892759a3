// Package pghaul is the root of a PostgreSQL dump, restore and verify engine
// written in Go, which needs no pg_dump, pg_restore, psql or libpq. It holds no
// code. The command is cmd/pghaul; everything the command does is a library
// call that other programs can make as well:
//
//   - [github.com/pghaul/pghaul/dump] writes a database into an archive.
//   - [github.com/pghaul/pghaul/restore] plays an archive into a database.
//   - [github.com/pghaul/pghaul/verify] compares the rows of two databases.
//
// They stand on:
//
//   - [github.com/pghaul/pghaul/catalog] reads pg_catalog into a sorted graph of
//     objects, each of which can write its own DDL.
//   - [github.com/pghaul/pghaul/archive] reads and writes pg_dump's directory
//     format, extended by frames, digests and checksums.
//   - [github.com/pghaul/pghaul/copyproto] moves COPY streams and sums up rows.
//   - [github.com/pghaul/pghaul/progress] counts the work and reports its edges.
//
// # Conventions
//
// Each verb is one function: Run(ctx, connection, Options) (*Report, error). The
// zero value of an Options does the usual thing; each field says what its own
// zero value means. An error says that the run did not come to its end. What
// went wrong in a run that did (an object that cannot be dumped, a statement
// that the target refused, a table that differs) is in the Report, so look at
// Complete or Equal as well.
//
// Connections are described by a pgx.ConnConfig, which is copied, never changed:
// its TLS settings, dialer and password handling are used as they are. Runs
// open and close connections of their own.
//
// Cancelling the context stops a run. A dump then removes what it has written; a
// restore rolls back what is not committed and leaves what is.
//
// Libraries do not print, exit, read the environment or keep global state. What
// there is to tell goes to Options.Logger and Options.Progress; both may be nil.
package pghaul
