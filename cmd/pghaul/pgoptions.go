package main

import "github.com/spf13/pflag"

// A pgOption is an option of pg_dump or pg_restore that is not built here.
type pgOption struct {
	long, short string
	arg         bool // it takes one
	// idle options pass without effect, with the reason in the comment of their
	// table; the others are refused by name.
	idle bool
}

// dumpOptions are the options of pg_dump 18 that have no flag of their own.
// Those that are idle have no effect on an archive in pg_dump either: they are
// about the script made from it.
var dumpOptions = []pgOption{
	{long: "clean", short: "c", idle: true},
	{long: "create", short: "C", idle: true},
	{long: "if-exists", idle: true},
	{long: "no-reconnect", short: "R", idle: true},
	{long: "superuser", short: "S", arg: true, idle: true},
	{long: "disable-triggers", idle: true},
	{long: "use-set-session-authorization", idle: true},
	{long: "no-tablespaces", idle: true},
	{long: "no-table-access-method", idle: true},

	{long: "binary-upgrade"},
	{long: "disable-dollar-quoting"},
	{long: "quote-all-identifiers"},
	{long: "sync-method", arg: true},
}

// restoreOptions are the options of pg_restore 18 that have no flag of their
// own. The idle ones do nothing there either, or only together with one that
// is refused.
var restoreOptions = []pgOption{
	{long: "no-reconnect", short: "R", idle: true},
	{long: "superuser", short: "S", arg: true, idle: true}, // for --disable-triggers

	{long: "create", short: "C"},
	{long: "disable-triggers"},
	{long: "enable-row-security"},
	{long: "exclude-schema", short: "N", arg: true},
	{long: "file", short: "f", arg: true},
	{long: "filter", arg: true},
	{long: "function", short: "P", arg: true},
	{long: "index", short: "I", arg: true},
	{long: "no-data"},
	{long: "no-data-for-failed-tables"},
	{long: "no-policies"},
	{long: "no-publications"},
	{long: "no-schema"},
	{long: "no-security-labels"},
	{long: "no-statistics"},
	{long: "no-subscriptions"},
	{long: "no-table-access-method"},
	{long: "no-tablespaces"},
	{long: "restrict-key", arg: true},
	{long: "schema", short: "n", arg: true},
	{long: "single-transaction", short: "1"},
	{long: "statistics"},
	{long: "statistics-only"},
	{long: "strict-names"},
	{long: "table", short: "t", arg: true},
	{long: "transaction-size", arg: true},
	{long: "trigger", short: "T", arg: true},
	{long: "use-list", short: "L", arg: true},
	{long: "use-set-session-authorization"},
}

// addPgOptions makes a command know the options, hidden from its help. program
// is whose they are.
func addPgOptions(f *pflag.FlagSet, program string, options []pgOption) {
	for _, o := range options {
		if o.idle && o.arg {
			f.StringP(o.long, o.short, "", "")
		} else if o.idle {
			f.BoolP(o.long, o.short, false, "")
		} else {
			flag := f.VarPF(&refused{program: program, option: o}, o.long, o.short, "")
			if !o.arg {
				flag.NoOptDefVal = "true"
			}
		}
		f.Lookup(o.long).Hidden = true
	}
}

// refused is the value of a flag that cannot be set.
type refused struct {
	program string
	option  pgOption
}

// String implements pflag.Value.
func (*refused) String() string { return "" }

// Set implements pflag.Value.
func (r *refused) Set(string) error {
	name := "--" + r.option.long
	if r.option.short != "" {
		name = "-" + r.option.short + "/" + name
	}
	return usagef("%s is not supported yet: it is an option of %s that pghaul does not have", name, r.program)
}

// Type implements pflag.Value.
func (r *refused) Type() string {
	if r.option.arg {
		return "string"
	}
	return "bool"
}
