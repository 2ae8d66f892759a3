package main

import (
	"github.com/spf13/pflag"

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
	f.BoolVar(&s.StrictNames, "strict-names", false, "fail when a pattern of -n, -t or -e matches nothing")
}
