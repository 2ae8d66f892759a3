package restore_test

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
)

func ExampleRun() {
	dir, url, remove := exampleArchive()
	defer remove()

	r, err := archive.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	target, err := pgx.ParseConfig(url)
	if err != nil {
		log.Fatal(err)
	}
	report, err := restore.Run(context.Background(), target, restore.FromArchive(r), restore.Options{
		Jobs:         4,
		NoOwner:      true,
		NoPrivileges: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range report.Failed { // what failed did not stop the rest
		fmt.Println(f.Kind, f.Name, f.Err)
	}
	fmt.Println(report.Rows, "rows", "complete:", report.Complete())
	// Output:
	// 5 rows complete: true
}

// A plan can be read before anything is run.
func ExampleNewPlan() {
	dir, _, remove := exampleArchive()
	defer remove()

	r, err := archive.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	plan, err := restore.NewPlan(restore.FromArchive(r), restore.Options{NoOwner: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range plan.Steps {
		if step.Stage != restore.StagePreData {
			fmt.Println(step.Stage, step.Entry.Kind, step.Entry.Tag)
		}
	}
	// Output:
	// data TABLE DATA customers
	// data TABLE DATA orders
	// post-data CONSTRAINT customers customers_pkey
	// post-data CONSTRAINT orders orders_pkey
	// post-data FK CONSTRAINT orders orders_customer_fkey
}

// exampleArchive makes an archive of a small shop and an empty database.
func exampleArchive() (dir, targetURL string, remove func()) {
	sourceURL, removeSource, err := pgtest.Example(`
		CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
		INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
		CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric);
		INSERT INTO orders VALUES (1, 1, 10), (2, 2, 20), (3, 1, 30)`)
	if err != nil {
		log.Fatal(err)
	}
	defer removeSource()
	targetURL, removeTarget, err := pgtest.Example("")
	if err != nil {
		log.Fatal(err)
	}
	source, err := pgx.ParseConfig(sourceURL)
	if err != nil {
		log.Fatal(err)
	}
	parent, err := os.MkdirTemp("", "pghaul-example-")
	if err != nil {
		log.Fatal(err)
	}
	dir = filepath.Join(parent, "shop.dump")
	if _, err := dump.Run(context.Background(), source, dump.Options{Dir: dir}); err != nil {
		log.Fatal(err)
	}
	return dir, targetURL, func() {
		removeTarget()
		if err := os.RemoveAll(parent); err != nil {
			log.Fatal(err)
		}
	}
}
