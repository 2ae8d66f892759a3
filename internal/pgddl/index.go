package pgddl

// An Index is CREATE [UNIQUE] INDEX.
type Index struct {
	Unique  bool
	Name    string   // without quotes
	Table   string   // as written, with its schema
	Only    bool     // ON ONLY, of a partitioned table
	Method  string   // without quotes: btree, hnsw, …
	Columns string   // as written, without the parentheses
	Keys    []string // Columns taken apart: each column or expression with collation, operator class and order
	Include string   // as written, without the parentheses
	With    string   // as written, without the parentheses
	Where   string   // as written, with its parentheses
	More    []string // the statements after it (CLUSTER ON, SET STATISTICS, …)
}

// ParseIndex reads the definition of an INDEX entry.
func ParseIndex(def string) (*Index, error) { return nil, ErrShape }
