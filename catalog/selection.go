package catalog

// A Selection says which objects of a database to take, with psql's patterns
// (reference §5.1). The zero Selection takes all.
type Selection struct {
	Schemas, ExcludeSchemas       []string // -n, -N
	Tables, ExcludeTables         []string // -t, -T
	Extensions, ExcludeExtensions []string // -e, --exclude-extension
	ExcludeTableData              []string
	SchemaOnly, DataOnly          bool
	// LargeObjects takes them even where Schemas or Tables would leave them out;
	// NoLargeObjects leaves them out.
	LargeObjects, NoLargeObjects bool
	// StrictNames fails when a pattern matches nothing.
	StrictNames bool
}
