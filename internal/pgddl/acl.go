package pgddl

// An ACLItem is one statement of an ACL entry, and who says it.
type ACLItem struct {
	Grantor string // as whom it runs; "" for the object's owner
	Grant   *Grant
}

// ParseACL reads the definition of an ACL entry: GRANTs and REVOKEs, of which
// those of other grantors than the owner stand between SET SESSION
// AUTHORIZATION and RESET SESSION AUTHORIZATION.
func ParseACL(def string) ([]ACLItem, error) { return nil, ErrShape }

// FormatACL writes the definition of an ACL entry, each statement with its
// semicolon and newline. No items give "".
func FormatACL(items []ACLItem) string { return "" }

// A DefaultACL is one ALTER DEFAULT PRIVILEGES.
type DefaultACL struct {
	Role   string // whose objects
	Schema string // "" for all schemas
	Grant  *Grant
}

// ParseDefaultACL reads one ALTER DEFAULT PRIVILEGES.
func ParseDefaultACL(stmt string) (*DefaultACL, error) { return nil, ErrShape }

// ParseDefaultACLs reads the definition of a DEFAULT ACL entry, which may hold
// several statements.
func ParseDefaultACLs(def string) ([]*DefaultACL, error) { return nil, ErrShape }

// FormatDefaultACLs writes the definition of a DEFAULT ACL entry.
func FormatDefaultACLs(list []*DefaultACL) string { return "" }

// String writes the statement.
func (d *DefaultACL) String() string { return "" }
