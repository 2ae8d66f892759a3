package platform

import (
	"fmt"
	"slices"
	"strings"
)

// A service is what one platform does differently, as data. A new platform is
// a file with one of these, a line in services, and a fixture for its tests.
type service struct {
	name  Name
	title string // as people call it

	// detect tells the platform by what any role can read.
	detect func(signs) bool
	// privileged names the role whose members the platform trusts; nil for none.
	privileged func(signs) string
	// direct rewrites the name of a connection pooler's host to the server's own.
	direct func(host string) (string, bool)

	// system are the platform's own superusers and technical roles. Nobody else
	// can become one of them.
	system []string
	// shared are the platform's roles that customers are members of, own things
	// by and grant rights to.
	shared []string
	// rolePrefixes begin the names of further platform roles.
	rolePrefixes []string
	// features are roles that parts of the platform make which can be switched on.
	// They are the platform's at a source, but free for customers at a target.
	features []string
	// reserved are names that customers may not give to roles.
	reserved []string
	// maxRoles is how many roles there may be; 0 for any number.
	maxRoles int

	schemas     []string          // the platform's own, with all that is in them
	databases   []string          // where customers have nothing
	noTarget    []string          // databases that nothing should be migrated to
	extensions  map[string]string // the platform's own, and what they are for
	settings    []string          // stored settings that mean something here only; "x." is a prefix
	tablespaces []string
	labels      []string // providers of security labels that can be set by customers
	// bodies are schemas of functions that exist on this platform only.
	bodies []string
	// hosts are endings of host names of this platform's servers.
	hosts []string
	// ownDefaults says that default privileges of system roles are the platform's
	// and not something that a customer has left there.
	ownDefaults bool

	// What roles that are no superusers may do all the same.
	eventTriggers bool // create event triggers, which keep their owner
	allTables     bool // create publications for all tables and tables in schemas
	subscriptions bool // create subscriptions before PostgreSQL 16
	wrappers      []string

	// memory says that unlogged tables lose their rows when the server sleeps.
	forgetsUnlogged bool
	// largeObjects is what to know of large objects here; "" for nothing.
	largeObjects string
	// cron is what pg_cron takes here; "" for what it takes everywhere.
	cron string
	// sizeLimit is the parameter with the most megabytes that may be stored.
	sizeLimit string
}

// signs are what a platform is recognised by.
type signs struct {
	roles    []string          // all of them
	settings map[string]string // of the parameters in signSettings those that exist
	owner    string            // of database template0
}

func (s signs) role(name string) bool    { return slices.Contains(s.roles, name) }
func (s signs) setting(name string) bool { return s.settings[name] != "" }

// signSettings are the parameters that platforms are recognised by.
var signSettings = []string{
	"azure.extensions", "neon.project_id", "neon.branch_id", "neon.endpoint_id", "neon.timeline_id", "neon.privileged_role_name",
}

// services are the platforms that are known, the most particular first.
func services() []*service {
	return []*service{azureFlexible(), azureSingle(), neon(), plain()}
}

// service returns what is known of a platform.
func (n Name) service() (*service, error) {
	names := make([]string, 0, 4)
	for _, s := range services() {
		if s.name == n {
			return s, nil
		}
		names = append(names, string(s.name))
	}
	return nil, fmt.Errorf("platform %q is not known: it is one of %s", n, strings.Join(names, ", "))
}

// Names are the platforms that are known.
func Names() []Name {
	var names []Name
	for _, s := range services() {
		names = append(names, s.name)
	}
	return names
}

// ParseName reads the name of a platform.
func ParseName(s string) (Name, error) {
	p, err := Name(s).service()
	if err != nil {
		return "", err
	}
	return p.name, nil
}

// Title is the platform as people call it.
func (n Name) Title() string {
	if s, err := n.service(); err == nil {
		return s.title
	}
	return string(n)
}

// DirectHost returns the host that a migration has to connect to: the server's
// own in the place of a connection pooler's, which shares sessions out by
// transactions. It reports whether that is another one than host.
func (n Name) DirectHost(host string) (string, bool) {
	s, err := n.service()
	if err != nil || s.direct == nil {
		return host, false
	}
	return s.direct(host)
}

// OfHost guesses the platform by the name of a host, before anything is
// connected to; Plain where the name tells nothing.
func OfHost(host string) Name {
	for _, s := range services() {
		for _, end := range s.hosts {
			if strings.HasSuffix(strings.ToLower(host), end) {
				return s.name
			}
		}
	}
	return Plain
}

// predefined says that a role comes with PostgreSQL.
func predefined(role string) bool { return strings.HasPrefix(role, "pg_") }

// role says that a role is the platform's. privileged is the name that it gives
// to its privileged role on this server.
func (s *service) role(name, privileged string) bool {
	if name == "" {
		return false
	}
	return name == privileged || slices.Contains(s.system, name) || slices.Contains(s.shared, name) ||
		slices.ContainsFunc(s.rolePrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// own says that a role of a source is the platform's.
func (s *service) own(name, privileged string) bool {
	return s.role(name, privileged) || slices.Contains(s.features, name)
}

// forbids says that no role of this name can be made.
func (s *service) forbids(name, privileged string) bool {
	return predefined(name) || s.role(name, privileged) || slices.Contains(s.reserved, name) || name == "public" || name == "none"
}

// setting says that a stored setting is the platform's business.
func (s *service) setting(name string) bool {
	return slices.ContainsFunc(s.settings, func(p string) bool {
		return name == p || strings.HasSuffix(p, ".") && strings.HasPrefix(name, p) || strings.HasSuffix(p, "_") && strings.HasPrefix(name, p)
	})
}
