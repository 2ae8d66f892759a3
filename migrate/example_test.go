package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
)

func ExampleRun() {
	source, target, remove := exampleEnds()
	defer remove()

	report, err := migrate.Run(context.Background(), source, target, migrate.Options{
		Jobs:  4,
		Rules: platform.Rules{LogUnlogged: true},
		Secrets: func(role, password string) error {
			return errors.New("nowhere to keep passwords")
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("complete:", report.Complete, "tables:", report.Tables, "rows:", report.Rows, "equal:", report.Verify.Equal())
	// Output:
	// complete: true tables: 2 rows: 5 equal: true
}

// A failed migration takes the failed phase back. What the phases before it
// have made stays, until it is gone on with or undone.
func ExampleRollback() {
	source, target, remove := exampleEnds()
	defer remove()

	plan, err := migrate.NewPlan(context.Background(), source, target, migrate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for i := range plan.Items {
		if it := &plan.Items[i]; it.Kind == "TABLE" && it.Name == "orders" {
			it.Verdict, it.SQL = platform.Rewrite, "CREATE TABLE shop.orders (id no_such_type);"
		}
	}
	report, err := migrate.Run(context.Background(), source, target, migrate.Options{Plan: plan})
	fmt.Println(err)
	for _, p := range report.Phases {
		fmt.Println(p.Phase, p.State)
	}
	undone, err := migrate.Rollback(context.Background(), target, migrate.RollbackOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("remains:", len(undone.Remains))
	// Output:
	// restore TABLE shop.orders: ERROR: type "no_such_type" does not exist (SQLSTATE 42704)
	// pre-schema done
	// schema-data rolled back
	// post-schema not run
	// remains: 0
}

// exampleEnds makes a database with a shop and one with nothing in it.
func exampleEnds() (source, target *pgx.ConnConfig, remove func()) {
	from, removeSource, err := pgtest.Example(`CREATE SCHEMA shop;
		CREATE TABLE shop.customers (id int PRIMARY KEY, name text);
		CREATE TABLE shop.orders (id int PRIMARY KEY, customer int REFERENCES shop.customers);
		INSERT INTO shop.customers VALUES (1, 'Ada'), (2, 'Edgar'); INSERT INTO shop.orders VALUES (1, 1), (2, 1), (3, 2);`)
	if err != nil {
		log.Fatal(err)
	}
	to, removeTarget, err := pgtest.Example("")
	if err != nil {
		log.Fatal(err)
	}
	if source, err = pgx.ParseConfig(from); err != nil {
		log.Fatal(err)
	}
	if target, err = pgx.ParseConfig(to); err != nil {
		log.Fatal(err)
	}
	return source, target, func() { removeSource(); removeTarget() }
}
