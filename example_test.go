package pghaul_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// Move a database to another server by way of an archive, and compare.
func Example() {
	sourceURL, targetURL, remove := exampleDatabases()
	defer remove()
	parent, err := os.MkdirTemp("", "pghaul-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)

	ctx := context.Background()
	source, err := pgx.ParseConfig(sourceURL)
	if err != nil {
		log.Fatal(err)
	}
	target, err := pgx.ParseConfig(targetURL)
	if err != nil {
		log.Fatal(err)
	}
	dir := filepath.Join(parent, "shop.dump")

	dumped, err := dump.Run(ctx, source, dump.Options{Dir: dir, Jobs: 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("dumped:", dumped.Rows, "rows, complete:", dumped.Complete())

	r, err := archive.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	restored, err := restore.Run(ctx, target, restore.FromArchive(r), restore.Options{Jobs: 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("restored:", restored.Rows, "rows, complete:", restored.Complete())

	compared, err := verify.Run(ctx, source, target, verify.Options{Jobs: 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("equal:", compared.Equal())
	// Output:
	// dumped: 5 rows, complete: true
	// restored: 5 rows, complete: true
	// equal: true
}

// exampleDatabases makes a database with a small shop and an empty one.
func exampleDatabases() (source, target string, remove func()) {
	source, removeSource, err := pgtest.Example(`
		CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
		INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
		CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric);
		INSERT INTO orders VALUES (1, 1, 10), (2, 2, 20), (3, 1, 30)`)
	if err != nil {
		log.Fatal(err)
	}
	target, removeTarget, err := pgtest.Example("")
	if err != nil {
		log.Fatal(err)
	}
	return source, target, func() {
		removeSource()
		removeTarget()
	}
}
