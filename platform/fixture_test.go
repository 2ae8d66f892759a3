package platform

import (
	"testing"

	"github.com/pghaul/pghaul/archive"
)

type archiveEntry = archive.Entry

// azureInput is a source at Azure (PostgreSQL 15) and a target at Neon
// (PostgreSQL 17) as Detect would find them, without servers.
func azureInput() Input {
	role := func(name string, change ...func(*Role)) Role {
		r := Role{Name: name, Inherit: true, ConnLimit: -1}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	login := func(r *Role) { r.Login = true }
	admin := func(r *Role) { r.CreateRole, r.CreateDB, r.BypassRLS = true, true, true }
	source := Facts{
		Platform: AzureFlexible, Version: 150010, Host: "x.postgres.database.azure.com", Database: "appdb", Owner: "azadmin",
		User: role("azadmin", login, admin), Privileged: "azure_pg_admin",
		Locale: Locale{Encoding: "UTF8", Provider: "libc", Collate: "en_US.utf8", CType: "en_US.utf8"},
		Roles: []Role{
			role("App.Reader", login), role("app_owner"), role("app_rw", login), role("azadmin", login, admin), role("azure_pg_admin"),
			role("azuresu", login, func(r *Role) { r.Superuser = true }), role("pg_monitor"), role("pg_read_all_data"), role("replication", login),
		},
		Memberships: []Membership{
			{Role: "azure_pg_admin", Member: "azadmin", Grantor: "azuresu", Admin: true, Inherit: true, Set: true},
			{Role: "app_owner", Member: "app_rw", Grantor: "azadmin", Inherit: true, Set: true},
		},
		Size: 1 << 30,
	}
	me := role("neondb_owner", login, admin, func(r *Role) { r.Replication = true })
	target := Facts{
		Platform: Neon, Version: 170004, Host: "ep-cool-name-123.eu.aws.neon.tech", Database: "neondb", Owner: "neondb_owner", User: me, Privileged: "neon_superuser",
		Locale: Locale{Encoding: "UTF8", Provider: "builtin", Collate: "C.UTF-8", CType: "C.UTF-8", Locale: "C.UTF-8"},
		Roles: []Role{
			role("cloud_admin", func(r *Role) { r.Superuser = true }), role("neon_superuser"), me, role("pg_monitor"), role("pg_read_all_data"),
		},
		Memberships: []Membership{
			{Role: "neon_superuser", Member: "neondb_owner", Inherit: true, Set: true},
			{Role: "pg_monitor", Member: "neon_superuser", Admin: true, Inherit: true, Set: true},
			{Role: "pg_read_all_data", Member: "neon_superuser", Inherit: true, Set: true},
		},
		MayCreate: true,
		Available: []Available{
			{Name: "pgcrypto", Version: "1.3", Default: true, Superuser: true, Trusted: true},
			{Name: "pageinspect", Version: "1.9", Default: true, Superuser: true},
			{Name: "postgres_fdw", Version: "1.1", Default: true, Superuser: true, Trusted: true},
			{Name: "vector", Version: "0.8.0", Default: true, Superuser: true, Trusted: true},
			{Name: "cube", Version: "1.5", Default: true, Superuser: true, Trusted: true},
			{Name: "earthdistance", Version: "1.1", Default: true, Superuser: true, Trusted: true, Requires: []string{"cube"}},
		},
		Collations: []Collation{
			{"pg_catalog", "C", "libc", "C"},
			{"pg_catalog", "en-US-x-icu", "icu", "en-US"},
			{"pg_catalog", "de-x-icu", "icu", "de"},
		},
		Parameters: map[string]Parameter{
			"work_mem": {Value: "4096", Context: "user"}, "log_min_duration_statement": {Value: "-1", Context: "superuser"},
			"max_connections": {Value: "100", Context: "postmaster"}, "role": {Value: "none", Context: "user"},
			"temp_tablespaces": {Context: "user"}, "lc_monetary": {Value: "C.UTF-8", Context: "user"}, "search_path": {Context: "user"},
		},
		Databases: []string{"neondb", "postgres", "template0", "template1"}, Tablespaces: []string{"pg_default", "pg_global"},
	}
	return Input{Source: source, Target: target}
}

func mustPlan(t *testing.T, in Input) *Plan {
	t.Helper()
	p, err := NewPlan(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
