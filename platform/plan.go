package platform

import "github.com/pghaul/pghaul/archive"

// A Verdict is what becomes of something.
type Verdict string

// The verdicts.
const (
	Keep    Verdict = "keep"    // goes over as it is
	Skip    Verdict = "skip"    // stays behind
	Map     Verdict = "map"     // goes over with another owner, grantee, schema, …
	Rewrite Verdict = "rewrite" // goes over with another definition
	Warn    Verdict = "warn"    // goes over as it is; somebody should know something
	Block   Verdict = "block"   // cannot go over: nothing runs until that is decided
)

// Rules are what the user has decided. The zero value leaves everything to the
// platforms' policy.
type Rules struct {
	// Roles maps names of roles of the source to names at the target.
	Roles map[string]string `yaml:"roles,omitempty" json:"roles,omitempty"`
	// NoRoles creates no roles: those that objects need must be there.
	NoRoles bool `yaml:"no_roles,omitempty" json:"no_roles,omitempty"`
	// NoLogin creates login roles as NOLOGIN, without a password.
	NoLogin bool `yaml:"no_login,omitempty" json:"no_login,omitempty"`
	// SkipExtensions leaves these out and what hangs on them.
	SkipExtensions []string `yaml:"skip_extensions,omitempty" json:"skip_extensions,omitempty"`
	// Schemas maps names of schemas of the source to names at the target. What the
	// target has already, such as public, is used as it is.
	Schemas map[string]string `yaml:"schemas,omitempty" json:"schemas,omitempty"`
	// LogUnlogged makes unlogged tables logged ones.
	LogUnlogged bool `yaml:"log_unlogged,omitempty" json:"log_unlogged,omitempty"`
	// Subscriptions keeps subscriptions, disabled and not connected.
	Subscriptions bool `yaml:"subscriptions,omitempty" json:"subscriptions,omitempty"`
	// NoPublicCreate does not give PUBLIC back its right to create in schema
	// public where the source (14 and older) has it and the target would not.
	NoPublicCreate bool `yaml:"no_public_create,omitempty" json:"no_public_create,omitempty"`
	// ReadAllData gives members of pg_read_all_data, which cannot be granted on
	// every platform, SELECT on all tables and sequences of the schemas that come,
	// and on those that their owners create later.
	ReadAllData bool `yaml:"read_all_data,omitempty" json:"read_all_data,omitempty"`
	// Collision says what to do where the target has objects already.
	Collision Collision `yaml:"collision,omitempty" json:"collision,omitempty"`
}

// A Collision says what to do with objects the target has already.
type Collision string

// The ways to deal with them.
const (
	Refuse Collision = ""       // block
	Clean  Collision = "clean"  // drop what bears the name of something that comes; each is named in the plan
	Ignore Collision = "ignore" // leave what does not bear the name of anything that comes; block on the rest
)

// A Plan says what a migration will do with everything the source has.
// NewPlan makes it; it can be written, edited and read again.
type Plan struct {
	Version  int      `yaml:"version" json:"version"` // of the plan's format: 1
	Source   Facts    `yaml:"source" json:"source"`
	Target   Facts    `yaml:"target" json:"target"`
	Rules    Rules    `yaml:"rules,omitempty" json:"rules,omitempty"`
	Estimate Estimate `yaml:"estimate" json:"estimate"`
	// Roles are created, in this order, before everything else.
	Roles       []RoleItem       `yaml:"roles" json:"roles"`
	Memberships []MembershipItem `yaml:"memberships" json:"memberships"`
	Settings    []SettingItem    `yaml:"settings" json:"settings"`
	// Extensions are created after the roles.
	Extensions []ExtensionItem `yaml:"extensions" json:"extensions"`
	// NewSchemas are schemas that no entry of the source makes: what public becomes.
	NewSchemas []string `yaml:"new_schemas,omitempty" json:"new_schemas,omitempty"`
	// Drops name what is dropped from the target first, in this order.
	Drops []Drop `yaml:"drops,omitempty" json:"drops,omitempty"`
	// Items has one for each entry of the source.
	Items []Item `yaml:"items" json:"items"`
	// Grants are privileges that no entry of the source has.
	Grants []Grant `yaml:"grants,omitempty" json:"grants,omitempty"`
	// Notes are about the whole.
	Notes []Note `yaml:"notes,omitempty" json:"notes,omitempty"`
	// CronScript schedules the jobs of pg_cron again, for the operator to run.
	CronScript string `yaml:"cron_script,omitempty" json:"cron_script,omitempty"`

	// needs are, by dump ID, the entries that wait for one; made are those that
	// make something others cannot do without. A plan that was read has neither.
	needs map[int][]int
	made  map[int]bool
}

// A Grant stands for a membership that the target cannot have.
type Grant struct {
	Role   string `yaml:"role" json:"role"` // who gets it
	Schema string `yaml:"schema" json:"schema"`
	Owner  string `yaml:"owner" json:"owner"` // of the schema
	SQL    string `yaml:"sql" json:"sql"`     // several statements
}

// A Note is something to know that belongs to no single item.
type Note struct {
	Verdict Verdict `yaml:"verdict" json:"verdict"` // Warn or Block
	Text    string  `yaml:"text" json:"text"`
}

// An Estimate is how much there is to do.
type Estimate struct {
	Bytes   int64 `yaml:"bytes" json:"bytes"`     // of the source's tables and indexes
	Seconds int64 `yaml:"seconds" json:"seconds"` // a guess; 0 for none
}

// An Item is the verdict over one entry.
type Item struct {
	ID      int     `yaml:"id" json:"id"` // dump ID in this run; a plan that is read again goes by kind, schema and name
	Kind    string  `yaml:"kind" json:"kind"`
	Schema  string  `yaml:"schema,omitempty" json:"schema,omitempty"`
	Name    string  `yaml:"name" json:"name"` // the tag
	Verdict Verdict `yaml:"verdict" json:"verdict"`
	Reason  string  `yaml:"reason,omitempty" json:"reason,omitempty"`
	// Owner is who gets it at the target; "" for things without an owner and for
	// those that stay with the user who restores.
	Owner string `yaml:"owner,omitempty" json:"owner,omitempty"`
	// Tablespace is where it is stored at the target; "" is the database's default.
	Tablespace string `yaml:"tablespace,omitempty" json:"tablespace,omitempty"`
	// SQL is the definition at the target where it is not the source's.
	SQL string `yaml:"sql,omitempty" json:"sql,omitempty"`
	// Warnings tell what may be different at the target.
	Warnings []string `yaml:"warnings,omitempty" json:"warnings,omitempty"`
	// Definition tells the source's definition from another one: a short hash, ""
	// for rows and other things that change all the time.
	Definition string `yaml:"definition,omitempty" json:"definition,omitempty"`
	// Drop is the statement that drops it, where it is not the source's.
	Drop string `yaml:"drop,omitempty" json:"drop,omitempty"`
}

// A RoleItem is the verdict over a role.
type RoleItem struct {
	// From is its name at the source.
	From    string  `yaml:"from" json:"from"`
	Role    Role    `yaml:"role" json:"role"` // with the attributes it gets at the target
	Verdict Verdict `yaml:"verdict" json:"verdict"`
	// To is its name at the target.
	To string `yaml:"to,omitempty" json:"to,omitempty"`
	// Exists says that the target has it already: it is neither created nor altered.
	Exists   bool     `yaml:"exists,omitempty" json:"exists,omitempty"`
	Reason   string   `yaml:"reason,omitempty" json:"reason,omitempty"`
	Warnings []string `yaml:"warnings,omitempty" json:"warnings,omitempty"`
}

// A MembershipItem is the verdict over a membership; names are the target's.
type MembershipItem struct {
	Membership Membership `yaml:"membership" json:"membership"`
	Verdict    Verdict    `yaml:"verdict" json:"verdict"`
	Reason     string     `yaml:"reason,omitempty" json:"reason,omitempty"`
}

// A SettingItem is the verdict over a stored setting; names are the target's.
type SettingItem struct {
	Setting Setting `yaml:"setting" json:"setting"`
	Verdict Verdict `yaml:"verdict" json:"verdict"`
	Reason  string  `yaml:"reason,omitempty" json:"reason,omitempty"`
}

// An ExtensionItem is the verdict over an extension.
type ExtensionItem struct {
	Name    string  `yaml:"name" json:"name"`
	Schema  string  `yaml:"schema" json:"schema"`
	Source  string  `yaml:"source_version" json:"source_version"`
	Target  string  `yaml:"target_version,omitempty" json:"target_version,omitempty"`
	Verdict Verdict `yaml:"verdict" json:"verdict"`
	// Exists says that the target has it installed already.
	Exists   bool     `yaml:"exists,omitempty" json:"exists,omitempty"`
	Reason   string   `yaml:"reason,omitempty" json:"reason,omitempty"`
	Warnings []string `yaml:"warnings,omitempty" json:"warnings,omitempty"`
	// Dependents are the source's objects that cannot do without it.
	Dependents []string `yaml:"dependents,omitempty" json:"dependents,omitempty"`
}

// A Drop is something of the target's that has to go.
type Drop struct {
	Object Object `yaml:"object" json:"object"`
	SQL    string `yaml:"sql" json:"sql"`
}

// Input is what a plan is made from.
type Input struct {
	Entries []archive.Entry // of the source, in their order
	Source  Facts
	Target  Facts
	Rules   Rules
}
