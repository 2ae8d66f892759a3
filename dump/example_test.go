package dump_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/progress"
)

func ExampleRun() {
	url, remove := exampleDatabase()
	defer remove()
	dir, removeDir := exampleDir()
	defer removeDir()

	source, err := pgx.ParseConfig(url)
	if err != nil {
		log.Fatal(err)
	}
	report, err := dump.Run(context.Background(), source, dump.Options{
		Dir:    filepath.Join(dir, "shop.dump"),
		Jobs:   4,
		Select: catalog.Selection{ExcludeSchemas: []string{"audit"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range report.Skipped {
		fmt.Println("not dumped:", s.Kind, s.Name, s.Reason)
	}
	fmt.Println(report.Tables, "tables", report.Rows, "rows", "complete:", report.Complete())
	// Output:
	// 2 tables 5 rows complete: true
}

// Events come at the edges of the work. Between them, a Snapshot has the rows
// and bytes so far.
func ExampleRun_progress() {
	url, remove := exampleDatabase()
	defer remove()
	dir, removeDir := exampleDir()
	defer removeDir()

	source, err := pgx.ParseConfig(url)
	if err != nil {
		log.Fatal(err)
	}
	tracker := progress.NewTracker(func(e progress.Event) {
		if e.Edge == progress.Finished {
			fmt.Println(e.Item, e.Rows, "rows")
		}
	})
	_, err = dump.Run(context.Background(), source, dump.Options{
		Dir:      filepath.Join(dir, "shop.dump"),
		Progress: tracker,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tracker.Snapshot().Rows, "rows in all")
	// Unordered output:
	// audit.log 1 rows
	// public.customers 2 rows
	// public.orders 3 rows
	// 6 rows in all
}

// exampleDir is a directory for archives.
func exampleDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "pghaul-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

// exampleDatabase makes the database that the examples dump.
func exampleDatabase() (url string, remove func()) {
	url, remove, err := pgtest.Example(`
		CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
		INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
		CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric);
		INSERT INTO orders VALUES (1, 1, 10), (2, 2, 20), (3, 1, 30);
		CREATE SCHEMA audit;
		CREATE TABLE audit.log (line text);
		INSERT INTO audit.log VALUES ('started')`)
	if err != nil {
		log.Fatal(err)
	}
	return url, remove
}
