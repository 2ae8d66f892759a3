package verify_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
	"github.com/pghaul/pghaul/verify"
)

// noTest is the context of what runs outside of tests.
var noTest = context.Background()

func ExampleRun() {
	sourceURL, targetURL, stop := exampleDatabases()
	defer stop()

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
func exampleDatabases() (source, target string, stop func()) {
	fleet, err := pgserver.NewFleet()
	if err != nil {
		log.Fatal(err)
	}
	server, err := fleet.Start(noTest, exampleMajor(), pgserver.Options{Template: true})
	if err != nil {
		fleet.Close()
		log.Fatal(err)
	}
	for db, total := range map[string]string{"source": "30", "target": "31"} {
		err := server.Exec(noTest, "postgres", "CREATE DATABASE "+db)
		if err == nil {
			err = server.Exec(noTest, db, `CREATE TABLE customers (id int, name text);
				INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob');
				CREATE TABLE orders (id int, total int);
				INSERT INTO orders VALUES (1, 10), (2, 20), (3, `+total+`)`)
		}
		if err != nil {
			fleet.Close()
			log.Fatal(err)
		}
	}
	return server.DSN("source"), server.DSN("target"), func() {
		if err := fleet.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
