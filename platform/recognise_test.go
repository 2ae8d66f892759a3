package platform

import "testing"

func TestRecognise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		seen       signs
		forced     Name
		want       Name
		privileged string
	}{
		{"flexible", signs{roles: []string{"azure_pg_admin", "azuresu"}}, "", AzureFlexible, "azure_pg_admin"},
		{"flexible by its parameter", signs{roles: []string{"azure_pg_admin", "x"}, settings: map[string]string{"azure.extensions": "hstore"}}, "", AzureFlexible, "azure_pg_admin"},
		{"single", signs{roles: []string{"azure_pg_admin", "azure_superuser"}}, "", AzureSingle, "azure_pg_admin"},
		{"Neon", signs{roles: []string{"neon_superuser", "cloud_admin"}, settings: map[string]string{"neon.project_id": "p"}}, "", Neon, "neon_superuser"},
		{"Neon by its role", signs{roles: []string{"neon_superuser"}, owner: "zenith_admin"}, "", Neon, "neon_superuser"},
		{"an old project", signs{roles: []string{"zenith_admin", "web_access"}, owner: "zenith_admin"}, "", Neon, ""},
		{"Lakebase", signs{roles: []string{"databricks_superuser"}, settings: map[string]string{"neon.privileged_role_name": "databricks_superuser", "neon.project_id": "p"}}, "", Neon, "databricks_superuser"},
		{"Lakebase without the parameter", signs{roles: []string{"databricks_superuser"}}, "", Neon, "databricks_superuser"},
		{"plain", signs{roles: []string{"postgres"}, owner: "postgres"}, "", Plain, ""},
		{"named by the user", signs{roles: []string{"postgres", "neon_superuser"}}, Plain, Plain, ""},
		{"named against the signs", signs{roles: []string{"postgres"}}, Neon, Neon, ""},
	} {
		var f Facts
		f.recognise(c.forced, c.seen)
		if f.Platform != c.want || f.Privileged != c.privileged {
			t.Errorf("%s: %q, privileged %q", c.name, f.Platform, f.Privileged)
		}
	}
}

func TestPlatformRoles(t *testing.T) {
	t.Parallel()
	s, err := Neon.service()
	if err != nil {
		t.Fatal(err)
	}
	if !s.own("databricks_superuser", "databricks_superuser") || !s.own("authenticator", "") || s.forbids("authenticator", "") || !s.forbids("pg_x", "") || !s.forbids("zenith_admin", "") || s.own("app", "") {
		t.Error("roles of Neon")
	}
}
