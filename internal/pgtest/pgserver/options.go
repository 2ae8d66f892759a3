//go:build unix

package pgserver

// Options say how a server differs from a plain one. The zero value is a
// server whose superuser is postgres, in locale C.UTF-8, without TLS.
type Options struct {
	// InitUser is the bootstrap superuser; "" is postgres.
	InitUser string
	// Locale is the cluster's locale; "" is C.UTF-8, which must then exist
	// on the system.
	Locale string
	// LocaleProvider is libc, icu or builtin; "" leaves PostgreSQL's default.
	LocaleProvider string
	// Settings are added to postgresql.conf; they override the throwaway
	// defaults such as fsync=off.
	Settings map[string]string
	// TLS switches ssl on with a certificate for localhost and 127.0.0.1.
	// Server.CA names the file of the authority that signed it.
	TLS bool
	// HBA is put before the lines of pg_hba.conf that trust every local
	// TCP connection.
	HBA string
	// PreloadCron loads pg_cron, which keeps its tables in database postgres.
	PreloadCron bool
	// Template copies a data directory prepared once per machine instead of
	// running initdb, which saves a second. All such servers of one version
	// have the same system identifier, so two that a test tells apart by it
	// must not both use this. Only InitUser, Locale and LocaleProvider
	// distinguish templates.
	Template bool
}

func (o Options) initUser() string {
	if o.InitUser == "" {
		return "postgres"
	}
	return o.InitUser
}

func (o Options) locale() string {
	if o.Locale == "" {
		return "C.UTF-8"
	}
	return o.Locale
}

// throwaway are settings for servers whose data nobody will miss when the
// machine stops. Commits stay synchronous, so that nothing committed is lost
// when a test kills the server. Statistics are gathered by hand only, so that
// tests see the same ones every time.
func (o Options) throwaway() map[string]string {
	settings := map[string]string{
		"listen_addresses":        host,
		"unix_socket_directories": "",
		"fsync":                   "off",
		"full_page_writes":        "off",
		"log_checkpoints":         "off",
		"autovacuum":              "off",
		"max_connections":         "60",
		"shared_buffers":          "32MB",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_line_prefix":         "%m [%p] %q%u@%d ",
		// Leaves nothing in /dev/shm when a server is killed.
		"dynamic_shared_memory_type": "mmap",
	}
	if o.TLS {
		settings["ssl"] = "on"
		settings["ssl_cert_file"] = "server.crt"
		settings["ssl_key_file"] = "server.key"
	}
	if o.PreloadCron {
		settings["shared_preload_libraries"] = "pg_cron"
		settings["cron.database_name"] = "postgres"
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	return settings
}
