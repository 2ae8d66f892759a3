package platform

import "time"

// Name says which kind of service a server is.
type Name string

// The platforms that are known.
const (
	AzureFlexible Name = "azure"        // Azure Database for PostgreSQL flexible server
	AzureSingle   Name = "azure-single" // its retired predecessor, single server
	Neon          Name = "neon"
	Plain         Name = "postgres" // anything else
)

// Facts are what one end of a migration is and has. Detect reads them; whatever
// is decided is a function of them.
type Facts struct {
	Platform Name   `yaml:"platform" json:"platform"`
	Version  int    `yaml:"version_num" json:"version_num"` // server_version_num
	Host     string `yaml:"host,omitempty" json:"host,omitempty"`
	Database string `yaml:"database" json:"database"`
	// User is the role the session works as.
	User Role `yaml:"user" json:"user"`
	// Privileged is the role whose members the platform trusts most
	// ("azure_pg_admin", "neon_superuser"); "" on plain servers.
	Privileged string    `yaml:"privileged,omitempty" json:"privileged,omitempty"`
	Locale     Locale    `yaml:"locale" json:"locale"` // of the database
	Owner      string    `yaml:"owner" json:"owner"`   // of the database
	ACL        []string  `yaml:"-" json:"-"`           // of the database, as aclitem text; nil for the default
	ConnLimit  int       `yaml:"-" json:"-"`           // connections the database allows; -1 for any number, 0 for unknown
	Size       int64     `yaml:"size" json:"size"`     // of the database in bytes, -1 if it may not be asked
	LSN        string    `yaml:"lsn,omitempty" json:"lsn,omitempty"`
	Time       time.Time `yaml:"time" json:"time"`

	Roles       []Role               `yaml:"-" json:"-"` // all, sorted by name
	Memberships []Membership         `yaml:"-" json:"-"`
	Settings    []Setting            `yaml:"-" json:"-"` // ALTER DATABASE/ROLE … SET that concern this database or a role anywhere
	Extensions  []Extension          `yaml:"-" json:"-"` // installed
	Available   []Available          `yaml:"-" json:"-"` // what CREATE EXTENSION would find
	Parameters  map[string]Parameter `yaml:"-" json:"-"` // pg_settings by name
	Collations  []Collation          `yaml:"-" json:"-"` // that can be used in this database
	// ParameterGrants are the privileges on the server's parameters that superusers
	// have given away.
	ParameterGrants []ParameterGrant `yaml:"-" json:"-"`

	Databases   []string `yaml:"-" json:"-"`
	Tablespaces []string `yaml:"-" json:"-"`
	// Wrappers are the foreign-data wrappers the user has USAGE on.
	Wrappers []string `yaml:"-" json:"-"`
	// MayCreate says that the user may create schemas in the database.
	MayCreate bool `yaml:"-" json:"-"`
	// PublicCreate says that PUBLIC may create objects in schema public.
	PublicCreate bool `yaml:"-" json:"-"`
	// Unread tells what could not be read, and why: decisions are made without it.
	Unread []string `yaml:"-" json:"-"`
	// Objects are the user's own relations, types, functions, collations, operators,
	// text search configurations and dictionaries, schemas, event triggers,
	// publications, foreign servers and large objects: not those of extensions, of
	// the system or of the platform.
	Objects []Object `yaml:"-" json:"-"`
	// CronJobs are pg_cron's jobs, as far as they can be read.
	CronJobs []CronJob `yaml:"-" json:"-"`
	// Changes counts the rows inserted, updated and deleted so far in the
	// database (pg_stat_database), which tells whether something was written
	// between two moments; -1 if it may not be asked.
	Changes int64 `yaml:"-" json:"-"`
}

// A Locale is how a database sorts and what it holds.
type Locale struct {
	Encoding string `yaml:"encoding" json:"encoding"`
	Provider string `yaml:"provider" json:"provider"` // "libc", "icu" or "builtin"
	Collate  string `yaml:"collate" json:"collate"`   // lc_collate
	CType    string `yaml:"ctype" json:"ctype"`
	Locale   string `yaml:"locale,omitempty" json:"locale,omitempty"` // of ICU and builtin
}

// A Role is a role and its attributes. Passwords are never read.
type Role struct {
	Name        string  `yaml:"name" json:"name"`
	Superuser   bool    `yaml:"superuser,omitempty" json:"superuser,omitempty"`
	Inherit     bool    `yaml:"inherit" json:"inherit"`
	CreateRole  bool    `yaml:"createrole,omitempty" json:"createrole,omitempty"`
	CreateDB    bool    `yaml:"createdb,omitempty" json:"createdb,omitempty"`
	Login       bool    `yaml:"login,omitempty" json:"login,omitempty"`
	Replication bool    `yaml:"replication,omitempty" json:"replication,omitempty"`
	BypassRLS   bool    `yaml:"bypassrls,omitempty" json:"bypassrls,omitempty"`
	ConnLimit   int     `yaml:"connection_limit,omitempty" json:"connection_limit,omitempty"` // -1: none
	ValidUntil  string  `yaml:"valid_until,omitempty" json:"valid_until,omitempty"`           // as the server writes it in UTC; "" for ever
	Comment     string  `yaml:"comment,omitempty" json:"comment,omitempty"`
	Labels      []Label `yaml:"labels,omitempty" json:"labels,omitempty"` // security labels
}

// A Label is a security label.
type Label struct {
	Provider string `yaml:"provider" json:"provider"`
	Label    string `yaml:"label" json:"label"`
}

// A Membership is a row of pg_auth_members. Before PostgreSQL 16 Inherit is
// the member's own attribute and Set is true.
type Membership struct {
	Role    string `yaml:"role" json:"role"`
	Member  string `yaml:"member" json:"member"`
	Grantor string `yaml:"grantor" json:"grantor"`
	Admin   bool   `yaml:"admin,omitempty" json:"admin,omitempty"`
	Inherit bool   `yaml:"inherit" json:"inherit"`
	Set     bool   `yaml:"set" json:"set"`
}

// A Setting is what ALTER DATABASE or ALTER ROLE … SET has stored.
type Setting struct {
	Database string `yaml:"database,omitempty" json:"database,omitempty"` // "" for all
	Role     string `yaml:"role,omitempty" json:"role,omitempty"`         // "" for all
	Name     string `yaml:"name" json:"name"`
	Value    string `yaml:"value" json:"value"` // as stored in pg_db_role_setting
}

// An Extension is one that is installed.
type Extension struct {
	Name    string `yaml:"name" json:"name"`
	Version string `yaml:"version" json:"version"`
	Schema  string `yaml:"schema" json:"schema"`
	Owner   string `yaml:"owner" json:"owner"`
	// Schemas are those that belong to the extension.
	Schemas []string `yaml:"schemas,omitempty" json:"schemas,omitempty"`
	// Members are its relations and functions with privileges of their own.
	// Functions are named without their arguments.
	Members []Object `yaml:"-" json:"-"`
}

// An Available extension is one that CREATE EXTENSION would find.
type Available struct {
	Name    string `yaml:"name" json:"name"`
	Version string `yaml:"version" json:"version"`
	Default bool   `yaml:"default,omitempty" json:"default,omitempty"` // the version CREATE EXTENSION takes
	// Superuser says that only a superuser may create it, unless it is Trusted.
	Superuser bool `yaml:"superuser,omitempty" json:"superuser,omitempty"`
	Trusted   bool `yaml:"trusted,omitempty" json:"trusted,omitempty"`
	// Requires are extensions it needs.
	Requires []string `yaml:"requires,omitempty" json:"requires,omitempty"`
}

// A Parameter is a row of pg_settings.
type Parameter struct{ Value, Context string }

// A ParameterGrant is a privilege on one of the server's parameters.
type ParameterGrant struct {
	Parameter string `yaml:"parameter" json:"parameter"`
	Role      string `yaml:"role,omitempty" json:"role,omitempty"` // "" for PUBLIC
	Privilege string `yaml:"privilege" json:"privilege"`           // "SET" or "ALTER SYSTEM"
	Grantable bool   `yaml:"grantable,omitempty" json:"grantable,omitempty"`
}

// A Collation is one a database can use.
type Collation struct{ Schema, Name, Provider, Locale string }

// An Object names something in a database.
type Object struct {
	Kind   string `yaml:"kind" json:"kind"`
	Schema string `yaml:"schema,omitempty" json:"schema,omitempty"`
	Name   string `yaml:"name" json:"name"`
}

// A CronJob is a row of cron.job.
type CronJob struct {
	ID       int64  `yaml:"id" json:"id"`
	Name     string `yaml:"name,omitempty" json:"name,omitempty"`
	Schedule string `yaml:"schedule" json:"schedule"`
	Command  string `yaml:"command" json:"command"`
	Database string `yaml:"database" json:"database"`
	User     string `yaml:"user" json:"user"`
	Active   bool   `yaml:"active" json:"active"`
}
