package pgddl

// A Label is SECURITY LABEL FOR provider ON … IS ….
type Label struct {
	Provider string // without quotes
	On       string // the kind and name as written
	Text     string
}

// A Comment is COMMENT ON … IS ….
type Comment struct {
	On   string // the kind and name as written
	Text string // "" also for NULL
}

// ParseLabel reads one SECURITY LABEL.
func ParseLabel(stmt string) (*Label, error) { return nil, ErrShape }

// ParseComment reads one COMMENT.
func ParseComment(stmt string) (*Comment, error) { return nil, ErrShape }
