package main

import (
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
)

// addSelection adds pg_dump's flags that say which objects to take.
func addSelection(f *pflag.FlagSet, s *catalog.Selection) {
	f.StringArrayVarP(&s.Schemas, "schema", "n", nil, "only schemas matching `PATTERN`")
	f.StringArrayVarP(&s.ExcludeSchemas, "exclude-schema", "N", nil, "no schemas matching `PATTERN`")
	f.StringArrayVarP(&s.Tables, "table", "t", nil, "only tables, views, sequences matching `PATTERN`")
	f.StringArrayVarP(&s.ExcludeTables, "exclude-table", "T", nil, "no tables, views, sequences matching `PATTERN`")
	f.StringArrayVarP(&s.Extensions, "extension", "e", nil, "only extensions matching `PATTERN`")
	f.StringArrayVar(&s.ExcludeExtensions, "exclude-extension", nil, "no extensions matching `PATTERN`")
	f.StringArrayVar(&s.ExcludeTableData, "exclude-table-data", nil, "no rows of tables matching `PATTERN`")
	f.StringArrayVar(&s.TablesAndChildren, "table-and-children", nil, "like -t `PATTERN`, with partitions and children")
	f.StringArrayVar(&s.ExcludeTablesAndChildren, "exclude-table-and-children", nil, "like -T `PATTERN`, with partitions and children")
	f.StringArrayVar(&s.ExcludeTableDataAndChildren, "exclude-table-data-and-children", nil, "like --exclude-table-data `PATTERN`, with partitions and children")
	f.Var(&ruleFiles{rule: s.AddRule}, "filter", "select by the rules in `FILE`, - for stdin")
	f.BoolVar(&s.StrictNames, "strict-names", false, "fail when a pattern of -n, -t or -e matches nothing")
}

// parseSections reads the names given with --section.
func parseSections(names []string) ([]archive.Section, error) {
	known := []archive.Section{archive.SectionPreData, archive.SectionData, archive.SectionPostData}
	var out []archive.Section
	for _, name := range names {
		i := slices.IndexFunc(known, func(s archive.Section) bool { return s.String() == name })
		if i < 0 {
			return nil, usagef("--section %q: want pre-data, data or post-data", name)
		}
		out = append(out, known[i])
	}
	return out, nil
}

// ruleFiles is the value of --filter: each use reads a file's rules.
type ruleFiles struct {
	rule  func(command, what, pattern string) error
	names string
}

// String implements pflag.Value.
func (f *ruleFiles) String() string { return f.names }

// Type implements pflag.Value.
func (f *ruleFiles) Type() string { return "FILE" }

// Set implements pflag.Value.
func (f *ruleFiles) Set(name string) (err error) {
	f.names = name
	var r io.ReadCloser = os.Stdin
	if name != "-" {
		if r, err = os.Open(name); err != nil {
			return usagef("--filter: %v", err)
		}
		defer func() { err = errors.Join(err, r.Close()) }()
	}
	if err := catalog.ReadRules(r, name, f.rule); err != nil {
		return usagef("%v", err)
	}
	return nil
}
