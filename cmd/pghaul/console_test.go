package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Connection strings as the consoles of Azure and Neon offer them.
func TestConsoleStrings(t *testing.T) {
	azure := settings{
		"host": "shop.postgres.database.azure.com", "port": "5432", "dbname": "appdb", "user": "azadmin", "password": "S3cr&t",
		"sslmode": "require",
	}
	neon := settings{
		"host": "ep-cool-name-a1b2.eu-central-1.aws.neon.tech", "dbname": "neondb", "user": "neondb_owner", "password": "npg_x",
		"sslmode": "require", "channel_binding": "require",
	}
	with := func(set settings, pairs ...string) settings {
		out := settings{}
		for k, v := range set {
			out[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == "" {
				delete(out, pairs[i])
			} else {
				out[pairs[i]] = pairs[i+1]
			}
		}
		return out
	}
	for _, c := range []struct {
		text string
		want settings
	}{
		{`host=shop.postgres.database.azure.com port=5432 dbname=appdb user=azadmin password='S3cr&t' sslmode=require`, azure},
		{`psql "host=shop.postgres.database.azure.com port=5432 dbname=appdb user=azadmin password=S3cr&t sslmode=require"`, azure},
		{`postgres://azadmin:S3cr%26t@shop.postgres.database.azure.com:5432/appdb?sslmode=require`, azure},
		{`jdbc:postgresql://shop.postgres.database.azure.com:5432/appdb?user=azadmin&password=S3cr%26t&sslmode=require`, azure},
		{`Server=shop.postgres.database.azure.com;Database=appdb;Port=5432;User Id=azadmin;Password=S3cr&t;Ssl Mode=Require;`, azure},
		{`Server=shop.postgres.database.azure.com; Database=appdb; Port=5432; User Id=azadmin; Password="S3cr&t"; Ssl Mode=VerifyFull;`, with(azure, "sslmode", "verify-full")},
		// Single server names the server in the role.
		{`host=shop.postgres.database.azure.com port=5432 dbname=appdb user=azadmin@shop password=S3cr&t sslmode=require`, with(azure, "user", "azadmin@shop")},
		{`postgres://azadmin@shop:S3cr%26t@shop.postgres.database.azure.com:5432/appdb?sslmode=require`, with(azure, "user", "azadmin@shop")},
		{`postgres://azadmin%40shop:S3cr%26t@shop.postgres.database.azure.com:5432/appdb?sslmode=require`, with(azure, "user", "azadmin@shop")},
		{`postgresql://neondb_owner:npg_x@ep-cool-name-a1b2.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require`, neon},
		{`psql 'postgresql://neondb_owner:npg_x@ep-cool-name-a1b2.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require'`, neon},
		{`postgresql://neondb_owner:npg_x@ep-cool-name-a1b2-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require`, neon},
		{
			`postgresql://neondb_owner:npg_x@ep-cool-name-a1b2-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require&options=endpoint%3Dep-cool-name-a1b2-pooler`,
			with(neon, "options", "endpoint=ep-cool-name-a1b2"),
		},
		{`postgres://azadmin:S3cr%26t@shop.postgres.database.azure.com:6432/appdb?sslmode=require`, azure},
		// Nobody else's names are touched.
		{`postgres://u@my-pooler.example.com:6432/d`, settings{"host": "my-pooler.example.com", "port": "6432", "user": "u", "dbname": "d"}},
	} {
		set := settings{}
		if err := set.database(c.text); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		notes := set.direct()
		if set["options"] == "" {
			delete(set, "options")
		}
		if d := cmp.Diff(c.want, set); d != "" {
			t.Errorf("%s: -want +got\n%s", c.text, d)
		}
		moved := strings.Contains(c.text, "neon.tech") && strings.Contains(c.text, "-pooler") || strings.Contains(c.text, "azure.com:6432")
		if (len(notes) > 0) != moved {
			t.Errorf("%s: notes %q", c.text, notes)
		}
	}
}

// What the console leaves to be filled in is named, and no secret is.
func TestPlaceholders(t *testing.T) {
	for text, want := range map[string]string{
		`host=shop.postgres.database.azure.com dbname=appdb user=azadmin password={your_password}`:         "password",
		`host=shop.postgres.database.azure.com dbname={your_database} user=azadmin password=s3cr3t`:        "dbname",
		`Server=shop.postgres.database.azure.com;Database={your_database};User Id=u;Password=s3cr3t;`:      "dbname",
		`postgresql://azadmin:{your_password}@shop.postgres.database.azure.com:5432/appdb?sslmode=require`: "password",
	} {
		err := settings{}.database(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
