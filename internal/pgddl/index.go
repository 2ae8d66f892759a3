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
func ParseIndex(def string) (*Index, error) {
	c := first(def)
	x := &Index{}
	c.want("create")
	x.Unique = c.take("unique")
	c.want("index")
	x.Name = c.name()
	c.want("on")
	x.Only = c.take("only")
	x.Table = c.qualified()
	c.want("using")
	x.Method = c.name()
	keys := c.brackets()
	x.Columns = span(c.sql, keys)
	for _, k := range commas(keys) {
		x.Keys = append(x.Keys, span(c.sql, k))
	}
	if c.take("include") {
		x.Include = c.inner()
	}
	c.take("nulls", "not", "distinct")
	if c.take("with") {
		x.With = c.inner()
	}
	if c.take("tablespace") {
		c.name()
	}
	if c.take("where") {
		from := c.at
		c.at = len(c.tokens)
		x.Where = c.since(from)
		if x.Where == "" {
			c.fail("a condition")
		}
	}
	x.More = c.more()
	if c.err != nil {
		return nil, c.err
	}
	return x, nil
}
