package platform

import "maps"

// azureFlexible is Azure Database for PostgreSQL flexible server.
//
// Its superuser is azuresu, which owns the catalogs and whatever extension
// scripts make. The customer's admin is a member of azure_pg_admin, which owns
// the stock databases, schema public and no attribute.
func azureFlexible() *service {
	return &service{
		name:  AzureFlexible,
		title: "Azure Database for PostgreSQL",
		detect: func(s signs) bool {
			return s.role("azuresu") || s.setting("azure.extensions")
		},
		privileged: func(signs) string { return "azure_pg_admin" },

		system: []string{"azuresu", "azure_superuser", "replication"},
		shared: []string{"azure_pg_admin"},
		// Such as azure_maintenance_service; customers may not make these.
		rolePrefixes: []string{"azure_"},

		// Query Store and the like. The schemas of extensions belong to those and
		// need no mention.
		schemas:     []string{"query_store"},
		databases:   []string{"azure_maintenance", "azure_sys", "template0", "template1"},
		noTarget:    []string{"azure_maintenance", "azure_sys"},
		tablespaces: []string{"temptblspace"}, // on a disk of the machine
		extensions:  azureExtensions(),
		settings: []string{
			"azure.", "cron.", "pgaudit.", "pg_qs.", "pgms_", "pgaadauth.", "azure_storage.", "azure_ai.",
			"temp_tablespaces", "default_tablespace", "session_preload_libraries",
		},
		bodies: azureBodies(),
		hosts:  []string{".postgres.database.azure.com"},
	}
}

// azureExtensions exist on Azure alone and are the platform's rather than the
// customer's: nothing is lost with them.
func azureExtensions() map[string]string {
	return map[string]string{
		"azure":              "Azure's own",
		"pgaadauth":          "logins through Microsoft Entra ID",
		"pg_availability":    "Azure's monitoring",
		"pg_qs":              "Azure's Query Store",
		"pgms_stats":         "Azure's Query Store",
		"pgms_wait_sampling": "Azure's Query Store",
	}
}

// azureBodies are the schemas of functions that exist on Azure only, as the
// bodies of functions name them.
func azureBodies() []string {
	return []string{"azure_ai", "azure_storage", "azure_openai", "azure_cognitive", "azure_ml", "azure_local_ai", "cron"}
}

// azureSingle is the service before flexible server, which has been retired.
// Its databases, extensions and manners are the same, its superuser is not.
func azureSingle() *service {
	s := azureFlexible()
	s.name = AzureSingle
	s.title = "Azure Database for PostgreSQL single server"
	s.detect = func(s signs) bool {
		return s.role("azure_superuser") || s.role("azure_pg_admin")
	}
	s.extensions = maps.Clone(s.extensions)
	delete(s.extensions, "pgaadauth")
	return s
}
