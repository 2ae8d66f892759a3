package main

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// envOnly are libpq's environment variables that pgx does not read.
var envOnly = map[string]string{
	"hostaddr":                 "PGHOSTADDR",
	"requirepeer":              "PGREQUIREPEER",
	"gssencmode":               "PGGSSENCMODE",
	"gssdelegation":            "PGGSSDELEGATION",
	"krbsrvname":               "PGKRBSRVNAME",
	"sslcrl":                   "PGSSLCRL",
	"sslcrldir":                "PGSSLCRLDIR",
	"ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
	"ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
	"load_balance_hosts":       "PGLOADBALANCEHOSTS",
	"client_encoding":          "PGCLIENTENCODING",
}

// refusedParams are parameters of libpq that would make a connection safer or
// other than it is without them. Their harmless values pass.
var refusedParams = map[string]struct {
	harmless []string
	why      string
}{
	"gssencmode":       {[]string{"disable", "prefer"}, "GSSAPI encryption is not supported"},
	"gssdelegation":    {[]string{"0"}, "GSSAPI delegation is not supported"},
	"sslcrl":           {nil, "certificate revocation lists are not supported"},
	"sslcrldir":        {nil, "certificate revocation lists are not supported"},
	"requirepeer":      {nil, "the owner of a server's socket cannot be checked"},
	"sslkeylogfile":    {nil, "logging of TLS keys is not supported"},
	"scram_client_key": {nil, "SCRAM keys in the place of a password are not supported"},
	"scram_server_key": {nil, "SCRAM keys in the place of a password are not supported"},
	"oauth_issuer":     {nil, "OAuth is not supported"}, "oauth_client_id": {nil, "OAuth is not supported"},
	"oauth_client_secret": {nil, "OAuth is not supported"}, "oauth_scope": {nil, "OAuth is not supported"},
	"replication": {[]string{"false", "off", "no", "0"}, "replication connections are not of use here"},
}

// ignoredParams have no meaning here and do no harm.
var ignoredParams = []string{"sslcompression", "gsslib", "authtype", "tty", "requiressl"}

// params are the parameters of libpq that pgx would pass on to the server as
// settings, and that are honoured here.
type params struct {
	addresses      map[string][]string // host → hostaddr
	tlsMin, tlsMax uint16              // 0: the default
	keepAlive      *net.KeepAliveConfig
	userTimeout    time.Duration // 0: the system's
	shuffle        bool
	encoding       string
}

// takeParams removes such parameters from the settings.
func (set settings) takeParams(env func(string) string) (*params, error) {
	for key, name := range envOnly {
		if value := env(name); value != "" && set[key] == "" {
			set[key] = value
		}
	}
	for key, refused := range refusedParams {
		if value := set[key]; value != "" && !slices.Contains(refused.harmless, value) {
			return nil, usagef("connection parameter %s: %s; leave it out", key, refused.why)
		}
		delete(set, key)
	}
	for _, key := range ignoredParams {
		delete(set, key)
	}
	p := &params{}
	for _, read := range []func(settings) error{p.readAddresses, p.readTLS, p.readTCP, p.readRest} {
		if err := read(set); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// take removes a setting and returns it.
func (set settings) take(key string) string {
	value := set[key]
	delete(set, key)
	return value
}

// readAddresses reads hostaddr: where to connect to without looking host up,
// while certificates and .pgpass still go by host.
func (p *params) readAddresses(set settings) error {
	list := set.take("hostaddr")
	if list == "" {
		return nil
	}
	if set["host"] == "" {
		set["host"] = list
		return nil
	}
	addresses, hosts := strings.Split(list, ","), strings.Split(set["host"], ",")
	if len(addresses) != len(hosts) {
		return usagef("connection parameters: %d hosts but %d addresses in hostaddr", len(hosts), len(addresses))
	}
	p.addresses = make(map[string][]string)
	for i, address := range addresses {
		if address == "" {
			continue
		}
		if net.ParseIP(address) == nil {
			return usagef("connection parameter hostaddr: %q is no IP address", address)
		}
		if hosts[i] == "" {
			hosts[i] = address
		}
		p.addresses[hosts[i]] = append(p.addresses[hosts[i]], address)
	}
	set["host"] = strings.Join(hosts, ",")
	return nil
}

var tlsVersions = map[string]uint16{
	"": 0, "TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

func (p *params) readTLS(set settings) error {
	for key, field := range map[string]*uint16{
		"ssl_min_protocol_version": &p.tlsMin, "ssl_max_protocol_version": &p.tlsMax,
	} {
		version, ok := tlsVersions[set.take(key)]
		if !ok {
			return usagef("connection parameter %s: want TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3", key)
		}
		*field = version
	}
	if p.tlsMax != 0 && p.tlsMin > p.tlsMax {
		return usagef("connection parameters: ssl_min_protocol_version is above ssl_max_protocol_version")
	}
	return nil
}

// readTCP reads how the network connection is watched. Numbers below one mean
// the system's default, as with libpq.
func (p *params) readTCP(set settings) error {
	number := func(key string) (n int, given bool, err error) {
		text := set.take(key)
		if text == "" {
			return 0, false, nil
		}
		if n, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
			return 0, false, usagef("connection parameter %s: want a whole number", key)
		}
		return max(n, 0), true, nil
	}
	keep := net.KeepAliveConfig{Enable: true}
	on, any, err := number("keepalives")
	if err != nil {
		return err
	}
	if any && on == 0 {
		keep.Enable = false
	}
	seconds := func(field *time.Duration) func(int) {
		return func(n int) { *field = time.Duration(n) * time.Second }
	}
	for key, store := range map[string]func(int){
		"keepalives_idle": seconds(&keep.Idle), "keepalives_interval": seconds(&keep.Interval),
		"keepalives_count": func(n int) { keep.Count = n },
	} {
		n, given, err := number(key)
		if err != nil {
			return err
		}
		store(n)
		any = any || given
	}
	if any {
		p.keepAlive = &keep
	}
	n, _, err := number("tcp_user_timeout")
	p.userTimeout = time.Duration(n) * time.Millisecond
	return err
}

func (p *params) readRest(set settings) error {
	switch mode := set.take("load_balance_hosts"); mode {
	case "", "disable":
	case "random":
		p.shuffle = true
	default:
		return usagef("connection parameter load_balance_hosts: want disable or random")
	}
	// The sessions choose their own client encoding; "auto" would be the
	// terminal's.
	if p.encoding = set.take("client_encoding"); p.encoding == "auto" {
		p.encoding = ""
	}
	if name := set.take("fallback_application_name"); name != "" && set["application_name"] == "" {
		set["application_name"] = name
	}
	// An empty krbsrvname is no name.
	if set["krbsrvname"] == "" {
		delete(set, "krbsrvname")
	}
	return nil
}

// apply makes the parameters part of the configuration.
func (p *params) apply(cfg *pgx.ConnConfig) {
	if p.addresses != nil {
		lookup := cfg.LookupFunc
		cfg.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
			if known := p.addresses[host]; known != nil {
				return known, nil
			}
			return lookup(ctx, host)
		}
	}
	if p.keepAlive != nil || p.userTimeout > 0 {
		d := &net.Dialer{Timeout: cfg.ConnectTimeout, Control: setUserTimeout(p.userTimeout)}
		if p.keepAlive != nil {
			if d.KeepAliveConfig = *p.keepAlive; !p.keepAlive.Enable {
				d.KeepAlive = -1
			}
		}
		cfg.DialFunc = d.DialContext
	}
	if p.shuffle {
		shuffleHosts(cfg)
	}
	limit := func(c *tls.Config) {
		if c != nil {
			c.MinVersion, c.MaxVersion = p.tlsMin, p.tlsMax
		}
	}
	limit(cfg.TLSConfig)
	for _, fallback := range cfg.Fallbacks {
		limit(fallback.TLSConfig)
	}
}

// shuffleHosts puts the hosts in random order. The attempts at one host, with
// TLS and without, stay together and in order.
func shuffleHosts(cfg *pgx.ConnConfig) {
	type attempt struct {
		host string
		port uint16
		tls  *tls.Config
	}
	attempts := [][]attempt{{{cfg.Host, cfg.Port, cfg.TLSConfig}}}
	for _, f := range cfg.Fallbacks {
		next := attempt{f.Host, f.Port, f.TLSConfig}
		last := len(attempts) - 1
		if prev := attempts[last][0]; prev.host == next.host && prev.port == next.port {
			attempts[last] = append(attempts[last], next)
		} else {
			attempts = append(attempts, []attempt{next})
		}
	}
	rand.Shuffle(len(attempts), func(i, j int) { attempts[i], attempts[j] = attempts[j], attempts[i] })
	flat := slices.Concat(attempts...)
	cfg.Host, cfg.Port, cfg.TLSConfig = flat[0].host, flat[0].port, flat[0].tls
	for i, a := range flat[1:] {
		cfg.Fallbacks[i].Host, cfg.Fallbacks[i].Port, cfg.Fallbacks[i].TLSConfig = a.host, a.port, a.tls
	}
}
