package main

import "strings"

// fromConsole turns what the consoles of platforms offer to copy into a
// connection string: a psql command, a URL for JDBC, a string for ADO.NET. What
// is none of these is returned as it is.
func fromConsole(s string) string {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "psql "); ok {
		s = strings.TrimSpace(rest)
		if n := len(s); n > 1 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] {
			s = s[1 : n-1]
		}
	}
	if rest, ok := strings.CutPrefix(s, "jdbc:postgresql:"); ok {
		return "postgresql:" + rest
	}
	return fromADO(s)
}

// adoKeys are ADO.NET's names of parameters, without spaces, by libpq's.
var adoKeys = map[string]string{
	"server": "host", "host": "host", "port": "port", "database": "dbname", "db": "dbname",
	"userid": "user", "username": "user", "user": "user", "uid": "user", "password": "password", "pwd": "password",
	"sslmode": "sslmode", "timeout": "connect_timeout", "applicationname": "application_name",
}

// fromADO turns ADO.NET's "Server=...;Database=...;" into keywords and values.
func fromADO(s string) string {
	if !strings.Contains(s, ";") || strings.Contains(s, "://") {
		return s
	}
	set := settings{}
	for pair := range strings.SplitSeq(s, ";") {
		key, value, found := strings.Cut(pair, "=")
		name := adoKeys[strings.ToLower(strings.ReplaceAll(key, " ", ""))]
		switch {
		case strings.TrimSpace(pair) == "":
			continue
		case !found || name == "":
			return s
		case name == "sslmode":
			if value = strings.ToLower(strings.TrimSpace(value)); value == "verifyca" || value == "verifyfull" {
				value = "verify-" + strings.TrimPrefix(value, "verify")
			}
		}
		set[name] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	if set["host"] == "" {
		return s
	}
	return set.String()
}

// placeholder is what stands in a connection string of a console for what the
// user has to fill in, "" if there is nothing.
func (set settings) placeholder() (key, text string) {
	for _, key := range []string{"password", "dbname", "user", "host"} {
		value := set[key]
		if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") || strings.HasPrefix(value, "your_") {
			return key, value
		}
	}
	return "", ""
}
