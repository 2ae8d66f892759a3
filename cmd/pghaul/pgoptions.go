package main

import "github.com/spf13/pflag"

// A pgOption is an option of pg_dump or pg_restore that is not built here.
type pgOption struct {
	long, short string
	arg         bool // it takes one
	// idle options pass without effect, with the reason in the comment of their
	// table; the others are refused by name.
	idle bool
	note string // why it is refused; "" if it is not built yet
}

// dumpOptions are the options of pg_dump 18 that have no flag of their own.
var dumpOptions = []pgOption{
	{long: "no-reconnect", short: "R", idle: true},

	{long: "binary-upgrade"},
	{long: "disable-dollar-quoting"},
	{long: "quote-all-identifiers"},
	{long: "sync-method", arg: true},
}

const whyAlterOwner = "owners are set with ALTER OWNER, which needs fewer rights"

// restoreOptions are the options of pg_restore 18 that have no flag of their
// own.
var restoreOptions = []pgOption{
	{long: "no-reconnect", short: "R", idle: true},

	{long: "use-set-session-authorization", note: whyAlterOwner},
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
	if r.option.note != "" {
		return usagef("%s is an option of %s that pghaul does not have: %s", name, r.program, r.option.note)
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
