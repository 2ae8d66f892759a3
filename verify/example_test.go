package verify_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/verify"
)

func ExampleRun() {
	sourceURL, targetURL, remove := exampleDatabases()
	defer remove()

	source, err := pgx.ParseConfig(sourceURL)
	if err != nil {
		log.Fatal(err)
	}
	target, err := pgx.ParseConfig(targetURL)
	if err != nil {
		log.Fatal(err)
	}
	report, err := verify.Run(context.Background(), source, target, verify.Options{Jobs: 4})
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range report.Tables {
		fmt.Println(t.Schema, t.Name, t.Source.Rows, t.Target.Rows, t.Equal)
	}
	fmt.Println("equal:", report.Equal())
	// Output:
	// public customers 2 2 true
	// public orders 3 3 false
	// equal: false
}

// exampleDatabases makes two databases that differ in one value.
func exampleDatabases() (source, target string, remove func()) {
	const script = `CREATE TABLE customers (id int, name text);
		INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
		CREATE TABLE orders (id int, total int);
		INSERT INTO orders VALUES (1, 10), (2, 20), (3, 30);`
	source, removeSource, err := pgtest.Example(script)
	if err != nil {
		log.Fatal(err)
	}
	target, removeTarget, err := pgtest.Example(script + "UPDATE orders SET total = 31 WHERE id = 3")
	if err != nil {
		removeSource()
		log.Fatal(err)
	}
	return source, target, func() {
		removeSource()
		removeTarget()
	}
}
