package platform

import (
	"slices"
	"strings"
)

// neon is Neon, and Lakebase, which is Neon under other names.
//
// Its superuser is cloud_admin (zenith_admin in the oldest projects). Roles that
// its console makes are members of neon_superuser, which is none; roles that
// SQL makes are not. What SQL does to roles and databases is sent to the
// platform's control plane at COMMIT.
func neon() *service {
	return &service{
		name:  Neon,
		title: "Neon",
		detect: func(s signs) bool {
			return slices.ContainsFunc([]string{"neon.project_id", "neon.branch_id", "neon.endpoint_id", "neon.timeline_id", "neon.privileged_role_name"}, s.setting) ||
				s.role("neon_superuser") || s.role("databricks_superuser") ||
				s.owner == "zenith_admin" || s.owner == "cloud_admin"
		},
		privileged: func(s signs) string {
			switch name := s.settings["neon.privileged_role_name"]; {
			case name != "":
				return name
			case !s.role("neon_superuser") && s.role("databricks_superuser"):
				return "databricks_superuser"
			}
			return "neon_superuser"
		},
		direct: func(host string) (string, bool) {
			name, _, _ := strings.Cut(host, ".")
			endpoint, pooled := strings.CutSuffix(name, "-pooler")
			if !pooled || !strings.HasPrefix(endpoint, "ep-") {
				return host, false
			}
			return endpoint + strings.TrimPrefix(host, name), true
		},

		system: []string{"cloud_admin", "zenith_admin"},
		shared: []string{"neon_superuser"},
		// Of the Data API and of row-level security by tokens, where those are on.
		features:     []string{"web_access", "authenticator", "anonymous", "authenticated", "neon_service"},
		rolePrefixes: []string{"databricks_"},
		maxRoles:     500, // of a branch

		schemas:     []string{"neon", "neon_migration", "neon_control_plane"},
		databases:   []string{"template0", "template1"},
		noTarget:    []string{"postgres", "template0", "template1"},
		extensions:  map[string]string{"neon": "Neon's own", "neon_utils": "Neon's own", "neon_test_utils": "Neon's own"},
		settings:    []string{"neon.", "databricks.", "cron.", "temp_tablespaces", "default_tablespace"},
		labels:      []string{"anon"},
		bodies:      []string{"neon"},
		hosts:       []string{".neon.tech", ".neon.build"},
		ownDefaults: true,

		eventTriggers: true,
		allTables:     true,
		subscriptions: true,
		wrappers:      []string{"postgres_fdw"},

		forgetsUnlogged: true,
		largeObjects:    "Neon's guides list large objects as not supported; they work as in PostgreSQL",
		cron:            "pg_cron has to be enabled for the compute through Neon's API, with cron.database_name, and runs only while the compute is awake",
		sizeLimit:       "neon.max_cluster_size",
	}
}
