package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// noTerminal is nobody to ask.
var noTerminal = terminal{}

// cleanEnv takes the PG* variables of whoever runs the tests away.
func cleanEnv(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "") // so that it is restored
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
}

// facts are what can be compared of a configuration.
type facts struct {
	User, Password, Database string
	Hosts                    []string
	Params                   map[string]string
}

func factsOf(c *pgx.ConnConfig) facts {
	f := facts{User: c.User, Password: c.Password, Database: c.Database, Params: c.RuntimeParams}
	add := func(host string, port uint16, tls bool) {
		f.Hosts = append(f.Hosts, fmt.Sprintf("%s:%d tls=%t", host, port, tls))
	}
	add(c.Host, c.Port, c.TLSConfig != nil)
	for _, b := range c.Fallbacks {
		add(b.Host, b.Port, b.TLSConfig != nil)
	}
	return f
}

// Whatever pgx makes of a connection string, we make of it.
func TestConnStringsMeanWhatTheyMeanToPgx(t *testing.T) {
	cleanEnv(t)
	for _, s := range []string{
		"postgres://app:s3cret@db1:5433/shop",
		"postgresql://app@db1/shop?sslmode=disable",
		"postgres://app@/shop?host=/tmp&port=5433",
		"postgres://app@%2Ftmp:5433/shop",
		"postgres://app:p%40ss%3Aw%2Frd%3F%25@db1/sh%2Fop",
		"postgres://app:pa:ss@db1/shop",
		"postgres://app:p?w@db1/shop",
		"postgres://app@db1,db2:5433,db3/shop?target_session_attrs=read-write",
		"postgres://app@db1:1,db2:2/shop?sslmode=require",
		"postgres://app@[::1]:5433/shop",
		"postgres://app@[::1],[fe80::1]:7/shop",
		"postgres://db1?user=app&password=x&dbname=shop",
		"postgres://app@db1/shop?ssl=true",
		"postgres://app@db1/shop?application_name=a%20b&search_path=x,y&options=-c%20work_mem%3D1MB",
		"postgres://app@db1/shop?connect_timeout=7",
		"postgres://app@db1/other?dbname=shop",
		"host=db1 port=5433 user=app password=s3cret dbname=shop",
		"host = db1 user= app  dbname =shop",
		`host=db1 user=app password='it\'s a \\ secret' dbname=shop`,
		`host=db1 user=app password=a\ b dbname='' application_name=''`,
		"host=db1,db2 port=1,2 user=app dbname=shop sslmode=disable",
		"host=/tmp user=app dbname=shop",
		"user=app dbname=shop host=db1 host=db2",
		"user=app\tdbname=shop\nhost=db1",
	} {
		want, err := pgx.ParseConfig(s)
		if err != nil {
			t.Fatalf("%q: pgx: %v", s, err)
		}
		o := connOptions{dbname: s}
		got, err := o.endpoint(t.Context(), noTerminal)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		w := factsOf(want)
		if w.Database == "" {
			w.Database = w.User // where we say what pgx leaves to the server
		}
		if d := cmp.Diff(w, factsOf(got.config)); d != "" {
			t.Errorf("%q: -pgx +ours\n%s", s, d)
		}
		if got.config.ConnectTimeout != want.ConnectTimeout {
			t.Errorf("%q: connect timeout %v, want %v", s, got.config.ConnectTimeout, want.ConnectTimeout)
		}
	}
}

func TestConnStringsRefused(t *testing.T) {
	cleanEnv(t)
	for s, want := range map[string]string{
		"postgres://u:se:cr:et@h:x/d":               "port is not a number",
		"postgres://u:secret/more@h/d":              "port is not a number",
		"postgres://u:sec@ret@h/d":                  `more than one "@"`,
		"postgres://u:sec%zz@h/d":                   "password is not well encoded",
		"postgres://u:secret@[::1/d":                `misses its "]"`,
		"postgres://u:secret@h/d?password":          "name=value",
		"postgres://u:secret@h/d?a=b=c":             "name=value",
		"postgres://u:secret@h:99999/d":             "invalid port",
		"postgres://u:secret@h/d?sslmode=no":        "sslmode is invalid",
		"mysql://u:secret@h/d":                      "starts with postgres://",
		"host=h password='secret":                   `value of "password": quote is not closed`,
		"host=h password=secret more":               "a keyword without",
		"host=h secret =":                           "",
		"host=h secret more=x":                      `missing "="`,
		"host=h password=secret port=x":             "invalid port",
		"host=h port=1,2,3 password=secret":         "could not match 3 port numbers",
		"host=h password=secret sslrootcert=/no/ca": "unable to read CA file",
		"host=h password=secret sslcrl=/x":          "sslcrl: certificate revocation lists are not supported",
		"host=h password=secret gssencmode=require": "gssencmode: GSSAPI encryption is not supported",
		"host=h requirepeer=root password=secret":   "requirepeer",
		"host=h replication=database":               "replication",
		"host=h keepalives_idle=secret":             "keepalives_idle: want a whole number",
		"host=h ssl_min_protocol_version=SSLv3":     "want TLSv1",
		"host=a,b hostaddr=127.0.0.1":               "2 hosts but 1 addresses",
		"host=a hostaddr=secret":                    "hostaddr",
		"host=h load_balance_hosts=secret":          "load_balance_hosts",
		"host=h service=secret":                     "cannot read service file",
	} {
		o := connOptions{dbname: s}
		_, err := o.endpoint(t.Context(), noTerminal)
		if want == "" {
			continue
		}
		if err == nil {
			t.Errorf("%q: no error", s)
			continue
		}
		if _, ok := errors.AsType[*usageError](err); !ok {
			t.Errorf("%q: %v is no usage error", s, err)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
		shown := err.Error()
		for _, ours := range []string{"hostaddr", "service"} { // these are not secrets
			if strings.Contains(s, ours+"=secret") {
				shown = ""
			}
		}
		if strings.Contains(shown, "sec") || strings.Contains(shown, "se:cr") {
			t.Errorf("%q: the error shows a password: %v", s, err)
		}
	}
}

// libpq's parameters that pgx would hand to the server, which would refuse the
// connection for them.
func TestParametersOfLibpq(t *testing.T) {
	cleanEnv(t)
	o := connOptions{dbname: "host=db1 user=app dbname=shop sslmode=require keepalives=1 keepalives_idle=30 keepalives_interval=10" +
		" keepalives_count=3 tcp_user_timeout=5000 gssencmode=prefer sslcompression=0 krbsrvname=postgres gsslib=gssapi" +
		" ssl_min_protocol_version=TLSv1.3 load_balance_hosts=disable replication=false requirepeer='' sslcrl=''" +
		" client_encoding=LATIN1 fallback_application_name=script channel_binding=prefer sslsni=1 require_auth="}
	e, err := o.endpoint(t.Context(), noTerminal)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"application_name": "script"}, e.config.RuntimeParams); d != "" {
		t.Errorf("runtime parameters: %s", d)
	}
	if e.encoding != "LATIN1" {
		t.Errorf("encoding = %q", e.encoding)
	}
	if e.config.TLSConfig.MinVersion != 0x0304 {
		t.Errorf("minimal TLS version = %x", e.config.TLSConfig.MinVersion)
	}
	p := params{}
	set := settings{"keepalives_idle": "30", "keepalives_count": "3", "tcp_user_timeout": "1500"}
	if err := p.readTCP(set); err != nil {
		t.Fatal(err)
	}
	if want := (net.KeepAliveConfig{Enable: true, Idle: 30e9, Count: 3}); *p.keepAlive != want || p.userTimeout != 1500e6 {
		t.Errorf("keepalive = %+v, user timeout = %v", *p.keepAlive, p.userTimeout)
	}
	p = params{}
	if err := p.readTCP(settings{"keepalives": "0"}); err != nil || p.keepAlive.Enable {
		t.Errorf("keepalives=0: %+v, %v", p.keepAlive, err)
	}
}

func TestHostaddr(t *testing.T) {
	cleanEnv(t)
	o := connOptions{dbname: "host=db1.example,db2.example hostaddr=127.0.0.1,::1 user=app sslmode=verify-full"}
	e, err := o.endpoint(t.Context(), noTerminal)
	if err != nil {
		t.Fatal(err)
	}
	if e.config.TLSConfig.ServerName != "db1.example" {
		t.Errorf("the certificate is checked for %q", e.config.TLSConfig.ServerName)
	}
	for host, want := range map[string]string{"db1.example": "127.0.0.1", "db2.example": "::1"} {
		if got, err := e.config.LookupFunc(t.Context(), host); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s is looked up as %v, %v", host, got, err)
		}
	}
	o = connOptions{dbname: "hostaddr=127.0.0.1 user=app"}
	if e, err = o.endpoint(t.Context(), noTerminal); err != nil || e.config.Host != "127.0.0.1" {
		t.Errorf("hostaddr alone: host %q, %v", e.config.Host, err)
	}
}

func TestLoadBalanceHosts(t *testing.T) {
	cleanEnv(t)
	first := map[string]int{}
	for range 200 {
		o := connOptions{dbname: "host=a,b,c port=1,2,3 user=app load_balance_hosts=random"}
		e, err := o.endpoint(t.Context(), noTerminal)
		if err != nil {
			t.Fatal(err)
		}
		f := factsOf(e.config)
		first[e.config.Host]++
		if len(f.Hosts) != 6 || !strings.HasSuffix(f.Hosts[0], "true") || !strings.HasSuffix(f.Hosts[1], "false") || f.Hosts[0][:3] != f.Hosts[1][:3] {
			t.Fatalf("attempts = %v", f.Hosts)
		}
	}
	if len(first) != 3 {
		t.Errorf("first hosts = %v", first)
	}
}

// pg_dump: a connection string overrides the other options, which override the
// service file, which overrides the environment.
func TestPrecedence(t *testing.T) {
	cleanEnv(t)
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte("[s]\nhost=from-service\nport=1111\nuser=from-service\npassword=from-service\ndbname=from-service\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"PGHOST": "from-env", "PGPORT": "2222", "PGUSER": "from-env", "PGPASSWORD": "from-env", "PGDATABASE": "from-env",
		"PGSERVICEFILE": file, "PGSSLMODE": "disable", "PGAPPNAME": "from-env",
	} {
		t.Setenv(name, value)
	}
	resolve := func(o connOptions) facts {
		t.Helper()
		e, err := o.endpoint(t.Context(), noTerminal)
		if err != nil {
			t.Fatal(err)
		}
		return factsOf(e.config)
	}
	app := map[string]string{"application_name": "from-env"}
	for _, c := range []struct {
		title string
		o     connOptions
		want  facts
	}{
		{"the environment alone", connOptions{}, facts{"from-env", "from-env", "from-env", []string{"from-env:2222 tls=false"}, app}},
		{
			"options beat the environment",
			connOptions{dbname: "d", host: "h", port: "3", user: "u"},
			facts{"u", "from-env", "d", []string{"h:3 tls=false"}, app},
		},
		{
			"a connection string beats options",
			connOptions{dbname: "host=x user=y password=z", host: "h", port: "3", user: "u"},
			facts{"y", "z", "from-env", []string{"x:3 tls=false"}, app},
		},
		{
			"a service beats the environment",
			connOptions{dbname: "service=s", user: "u"},
			facts{"u", "from-service", "from-service", []string{"from-service:1111 tls=false"}, app},
		},
	} {
		if d := cmp.Diff(c.want, resolve(c.o)); d != "" {
			t.Errorf("%s: -want +got\n%s", c.title, d)
		}
	}
}

// With two ends nothing of the environment may reach either of them.
func TestTwoEndsIgnoreTheEnvironment(t *testing.T) {
	cleanEnv(t)
	home := os.Getenv("HOME")
	passfile, service := filepath.Join(home, "pgpass"), filepath.Join(home, "services")
	for path, text := range map[string]string{
		passfile: "db1:5432:shop:app:from-passfile\n",
		service:  "[s]\nhost=db9\nuser=svc\npassword=from-service\ndbname=shop\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, pair := range strings.Fields("PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PGAPPNAME PGOPTIONS PGSERVICE PGTZ" +
		" PGSSLROOTCERT PGSSLCERT PGSSLKEY PGSSLCRL PGREQUIREPEER PGGSSENCMODE PGTARGETSESSIONATTRS PGCONNECT_TIMEOUT PGCLIENTENCODING" +
		" PGCHANNELBINDING PGREQUIREAUTH PGSSLNEGOTIATION PGMINPROTOCOLVERSION PGLOADBALANCEHOSTS") {
		t.Setenv(pair, "wrong")
	}
	t.Setenv("PGPASSFILE", passfile)
	t.Setenv("PGSERVICEFILE", service)
	t.Setenv("PGHAUL_SOURCE", "kept")
	if err := dropEnvironment(); err != nil {
		t.Fatal(err)
	}
	for conn, want := range map[string]facts{
		"postgres://app@db1/shop?sslmode=disable":       {"app", "from-passfile", "shop", []string{"db1:5432 tls=false"}, map[string]string{}},
		"postgres://app:own@db2:7/shop?sslmode=disable": {"app", "own", "shop", []string{"db2:7 tls=false"}, map[string]string{}},
		"service=s sslmode=disable":                     {"svc", "from-service", "shop", []string{"db9:5432 tls=false"}, map[string]string{}},
	} {
		set := settings{}
		if err := set.database(conn); err != nil {
			t.Fatal(err)
		}
		e, err := set.resolve(t.Context(), noEnv, noTerminal, askIfNeeded, "")
		if err != nil {
			t.Errorf("%s: %v", conn, err)
			continue
		}
		if d := cmp.Diff(want, factsOf(e.config)); d != "" {
			t.Errorf("%s: -want +got\n%s", conn, d)
		}
	}
	if os.Getenv("PGHAUL_SOURCE") != "kept" {
		t.Error("PGHAUL_SOURCE was dropped")
	}
}

// .pgpass goes by database, which defaults to the user's name.
func TestPassfileKnowsTheDefaultDatabase(t *testing.T) {
	cleanEnv(t)
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".pgpass"), []byte("db1:5432:app:app:from-passfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := connOptions{dbname: "postgres://app@db1"}
	e, err := o.endpoint(t.Context(), noTerminal)
	if err != nil {
		t.Fatal(err)
	}
	if e.config.Password != "from-passfile" || e.config.Database != "app" {
		t.Errorf("password %q, database %q", e.config.Password, e.config.Database)
	}
}

func TestAskingNeedsATerminal(t *testing.T) {
	cleanEnv(t)
	o := connOptions{dbname: "postgres://app@db1", alwaysAsk: true}
	if _, err := o.endpoint(t.Context(), noTerminal); err == nil || !strings.Contains(err.Error(), "-W needs a terminal") {
		t.Errorf("error = %v", err)
	}
	o.neverAsk = true
	if _, err := o.endpoint(t.Context(), noTerminal); err == nil || !strings.Contains(err.Error(), "contradict") {
		t.Errorf("error = %v", err)
	}
}

// The settings handed to pgx never hold the password, so nothing that quotes
// them can show it.
func TestConfigDoesNotQuoteThePassword(t *testing.T) {
	cleanEnv(t)
	for _, conn := range []string{"postgres://app:s3cret@db1/shop?sslpassword=s3cret2", "host=db1 password='s3 cret' sslpassword=s3cret2"} {
		o := connOptions{dbname: conn}
		e, err := o.endpoint(t.Context(), noTerminal)
		if err != nil {
			t.Fatal(err)
		}
		if s := e.config.ConnString(); strings.Contains(s, "cret") {
			t.Errorf("connection string %q", s)
		}
	}
}

// FuzzConnString holds the parser against pgx's: what both take means the same
// to both.
func FuzzConnString(f *testing.F) {
	for _, s := range []string{
		"postgres://a:b@c:1/d?e=f", "host=a port=1 user=b password='c d'", "postgres://[::1]:1,b/d", `user=a\ c b='\''`,
		"postgres://a@b,c:1/d?sslmode=require&ssl=true", "postgres://a:b?c@d", "host = a user= b", "postgresql://%2Ftmp?user=a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !isConnString(s) {
			return
		}
		want, err := pgx.ParseConfig(s)
		if err != nil || want.User == "" { // an empty name is the default's to us
			return
		}
		set, err := parseConnString(s)
		if err != nil {
			return // stricter than pgx, which is fine
		}
		got, err := pgx.ParseConfig(set.String())
		if err != nil {
			t.Fatalf("%q: written as %q: %v", s, set, err)
		}
		if d := cmp.Diff(factsOf(want), factsOf(got)); d != "" {
			t.Errorf("%q: -pgx +ours\n%s", s, d)
		}
	})
}
