package pgddl

// A Publication is CREATE PUBLICATION.
type Publication struct {
	Name      string // without quotes
	AllTables bool
	Options   []Option
}

// A PublicationMember is ALTER PUBLICATION … ADD TABLE or TABLES IN SCHEMA.
type PublicationMember struct {
	Publication string // without quotes
	Table       string // as written, "" for a schema
	Schema      string // without quotes, "" for a table
}

// A Subscription is CREATE SUBSCRIPTION. Its connection may hold a password.
type Subscription struct {
	Name         string // without quotes
	Connection   string
	Publications []string // without quotes
	Options      []Option
}

// Option is the value of an option, or "".
func (s *Subscription) Option(name string) string { return "" }

// ParsePublication reads one CREATE PUBLICATION.
func ParsePublication(stmt string) (*Publication, error) { return nil, ErrShape }

// ParsePublicationMember reads one ALTER PUBLICATION … ADD.
func ParsePublicationMember(stmt string) (*PublicationMember, error) { return nil, ErrShape }

// ParseSubscription reads one CREATE SUBSCRIPTION.
func ParseSubscription(stmt string) (*Subscription, error) { return nil, ErrShape }
