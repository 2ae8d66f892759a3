//go:build unix

package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// oddPassword has every character that some notation gives a meaning to.
const oddPassword = `p@ss:w/rd'\ "%?#&=ü+`

// passfileEscape writes a field of .pgpass.
var passfileEscape = strings.NewReplacer(`\`, `\\`, `:`, `\:`)

// secureServer lets the role app in by SCRAM over TLS only.
func secureServer(t *testing.T) *pgtest.Server {
	t.Helper()
	s := pgtest.Private(t, newest(t), pgtest.Options{
		TLS: true, Template: true,
		HBA: "hostssl all app all scram-sha-256\nhostnossl all app all reject\n",
	})
	s.Exec(t, "postgres", "CREATE ROLE app LOGIN SUPERUSER PASSWORD "+quoteLiteral(oddPassword))
	s.Exec(t, "postgres", "CREATE DATABASE app OWNER app")
	return s
}

func quoteLiteral(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func TestConnections(t *testing.T) {
	s := secureServer(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port := strconv.Itoa(s.Port)
	passfile := write("pgpass", "# comment\nelsewhere:*:*:app:wrong\nlocalhost:"+port+":app:app:"+passfileEscape.Replace(oddPassword)+"\n")
	service := write("services", "[secure]\nhost=localhost\nport="+port+"\nuser=app\ndbname=app\nsslmode=verify-full\nsslrootcert="+s.CA+"\n")
	otherCA := otherAuthority(t, dir)

	inURL := url.UserPassword("app", oddPassword).String()
	verified := "?sslmode=verify-full&sslrootcert=" + url.QueryEscape(s.CA)
	keywords := `host=localhost port=` + port + ` user=app dbname=app password='` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(oddPassword) + `' `

	for _, c := range []struct {
		title string
		o     connOptions
		env   map[string]string
		tls   bool
		fail  string // "" or what the error says
	}{
		{title: "URL, verify-full", o: connOptions{dbname: "postgres://" + inURL + "@localhost:" + port + "/app" + verified}, tls: true},
		{title: "URL, verify-full by address", o: connOptions{dbname: "postgres://" + inURL + "@127.0.0.1:" + port + "/app" + verified}, tls: true},
		{title: "keywords, verify-ca", o: connOptions{dbname: keywords + "sslmode=verify-ca sslrootcert=" + s.CA}, tls: true},
		{title: "require", o: connOptions{dbname: keywords + "sslmode=require"}, tls: true},
		{title: "prefer", o: connOptions{dbname: keywords + "sslmode=prefer"}, tls: true},
		{title: "allow goes over to TLS", o: connOptions{dbname: keywords + "sslmode=allow"}, tls: true},
		{title: "channel binding", o: connOptions{dbname: keywords + "sslmode=require channel_binding=require require_auth=scram-sha-256"}, tls: true},
		{title: "TLS 1.3", o: connOptions{dbname: keywords + "sslmode=require ssl_min_protocol_version=TLSv1.3"}, tls: true},
		{title: "libpq's parameters", o: connOptions{dbname: keywords + "sslmode=require keepalives=1 keepalives_idle=5 tcp_user_timeout=9000 gssencmode=disable sslcompression=0"}, tls: true},
		{
			title: "PGPASSWORD and options", o: connOptions{dbname: "app", host: "localhost", port: port, user: "app"},
			env: map[string]string{"PGPASSWORD": oddPassword, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": s.CA}, tls: true,
		},
		{
			title: "everything from the environment",
			env: map[string]string{
				"PGHOST": "localhost", "PGPORT": port, "PGUSER": "app", "PGDATABASE": "app", "PGPASSWORD": oddPassword, "PGSSLMODE": "require",
			}, tls: true,
		},
		{title: ".pgpass", o: connOptions{dbname: "postgres://app@localhost:" + port + verified}, env: map[string]string{"PGPASSFILE": passfile}, tls: true},
		{
			title: "service file and .pgpass", o: connOptions{dbname: "service=secure"},
			env: map[string]string{"PGSERVICEFILE": service, "PGPASSFILE": passfile}, tls: true,
		},
		{
			title: "PGSERVICE", env: map[string]string{"PGSERVICE": "secure", "PGSERVICEFILE": service, "PGPASSWORD": oddPassword}, tls: true,
		},
		{
			title: "the second of two hosts",
			o:     connOptions{dbname: "postgres://" + inURL + "@127.0.0.1:1,localhost:" + port + "/app?sslmode=require&target_session_attrs=read-write"}, tls: true,
		},
		{
			title: "host is what the certificate says, hostaddr where it is",
			o:     connOptions{dbname: strings.Replace(keywords, "localhost", "localhost hostaddr=127.0.0.1", 1) + "sslmode=verify-full sslrootcert=" + s.CA}, tls: true,
		},
		{
			title: "a name that is not in the certificate",
			o:     connOptions{dbname: strings.Replace(keywords, "localhost", "db.example hostaddr=127.0.0.1", 1) + "sslmode=verify-full sslrootcert=" + s.CA},
			fail:  "certificate is valid for",
		},
		{title: "another authority", o: connOptions{dbname: keywords + "sslmode=verify-ca sslrootcert=" + otherCA}, fail: "certificate"},
		{title: "no TLS", o: connOptions{dbname: keywords + "sslmode=disable"}, fail: "pg_hba.conf rejects connection"},
		{
			title: "wrong password", o: connOptions{dbname: "postgres://app:wr0ng-secret@localhost:" + port + "/app" + verified},
			fail: `password authentication failed for user "app"`,
		},
		{title: "no password", o: connOptions{dbname: "postgres://app@localhost:" + port + "/app" + verified}, fail: `password authentication failed`},
		{
			title: "another method is not accepted", o: connOptions{dbname: keywords + "sslmode=require require_auth=md5"}, fail: "require_auth",
		},
	} {
		t.Run(c.title, func(t *testing.T) {
			cleanEnv(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			e, err := c.o.endpoint(t.Context(), noTerminal)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := pgx.ConnectConfig(t.Context(), e.config)
			if c.fail != "" {
				if err == nil {
					pg.Close(conn)
					t.Fatal("it connects")
				}
				if !strings.Contains(err.Error(), c.fail) {
					t.Errorf("error %q, want %q", err, c.fail)
				}
				if s := err.Error(); strings.Contains(s, "secret") || strings.Contains(s, "ss:w") {
					t.Errorf("the error shows the password: %s", s)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer pg.Close(conn)
			var user string
			var tls bool
			err = conn.QueryRow(t.Context(), "SELECT current_user::text, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&user, &tls)
			if err != nil || user != "app" || tls != c.tls {
				t.Errorf("connected as %q, TLS %t, %v", user, tls, err)
			}
		})
	}
}

// The whole way through the command: exit statuses, and nothing secret shown
// whatever is logged.
func TestCommandOverTLS(t *testing.T) {
	s := secureServer(t)
	s.Exec(t, "app", "CREATE TABLE t AS SELECT 1 AS i")
	target := s.Database(t)
	verified := "?sslmode=verify-full&sslrootcert=" + url.QueryEscape(s.CA)
	address := "@localhost:" + strconv.Itoa(s.Port) + "/"
	good := "postgres://" + url.UserPassword("app", oddPassword).String() + address
	dir := filepath.Join(t.TempDir(), "out")

	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{0, "dumped 1 row of 1 table", []string{"dump", "-vv", "-d", good + "app" + verified, "-f", dir}},
		{0, "set PGPASSWORD instead", []string{"dump", "-d", good + "app" + verified, "-f", dir + "-warned"}},
		{0, "restored 1 row", []string{"restore", "-vv", "-d", good + target + verified, dir}},
		{0, "", []string{"verify", "-vv", "--source", good + "app" + verified, "--target", good + target + verified}},
		{1, "28P01", []string{"dump", "-vv", "-d", "postgres://app:wr0ng-secret" + address + "app" + verified, "-f", dir + "2"}},
		{1, "28P01", []string{"verify", "-vv", "--log-format", "json", "--source", good + "app" + verified, "--target", "postgres://app:wr0ng-secret" + address + target + verified}},
	} {
		cmd := command(t, c.args...)
		cmd.Env = append(cmd.Env, "PGPASSWORD=env-secret")
		if c.args[0] == "dump" {
			cmd.Env = append(cmd.Env, "PGPASSWORD=")
		}
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: exit status %d, want %d and %q:\n%s", c.args[0], got, c.status, c.says, out)
		}
		for _, secret := range []string{"secret", "ss:w", "ss%3Aw"} {
			if strings.Contains(string(out), secret) {
				t.Errorf("%s shows a password:\n%s", c.args[0], out)
			}
		}
	}
}
