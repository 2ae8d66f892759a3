package ui

import (
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(0), "0 B"},
		{Bytes(999), "999 B"},
		{Bytes(1000), "1.0 kB"},
		{Bytes(1_234_567), "1.2 MB"},
		{Bytes(99_949_999), "99.9 MB"},
		{Bytes(99_950_000), "100 MB"},
		{Bytes(999_499_999), "999 MB"},
		{Bytes(999_500_000), "1.0 GB"},
		{Bytes(9_223_372_036_854_775_807), "9.2 EB"},
		{Bytes(-1500), "-1.5 kB"},
		{Short(999), "999"},
		{Short(45_123), "45.1k"},
		{Short(4_512_300), "4.5M"},
		{Count(0), "0"},
		{Count(999), "999"},
		{Count(21144), "21,144"},
		{Count(-1234567), "-1,234,567"},
		{Plural(1, "table"), "1 table"},
		{Plural(0, "row"), "0 rows"},
		{Plural(21144, "row"), "21,144 rows"},
		{Duration(0), "0.000 s"},
		{Duration(3 * time.Millisecond), "0.003 s"},
		{Duration(420 * time.Millisecond), "0.42 s"},
		{Duration(12300 * time.Millisecond), "12.3 s"},
		{Duration(59_990 * time.Millisecond), "1m 0s"},
		{Duration(65 * time.Second), "1m 5s"},
		{Duration(2*time.Hour + 3*time.Minute + 59*time.Second), "2h 3m"},
		{Clock(7 * time.Second), "0:07"},
		{Clock(754 * time.Second), "12:34"},
		{Clock(3723 * time.Second), "1:02:03"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"public.orders", 13, "public.orders"},
		{"public.orders", 12, "public.or..."},
		{"public.orders", 3, "..."},
		{"public.orders", 1, "."},
		{"public.orders", 0, ""},
		{"public.注文明細", 15, "public.注文明細"},
		{"public.注文明細", 14, "public.注文..."},
		{"public.注文明細", 13, "public.注..."},
	} {
		got := fit(c.s, c.n)
		if got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.s, c.n, got, c.want)
		}
		if columns(got) > c.n {
			t.Errorf("fit(%q, %d) takes %d columns", c.s, c.n, columns(got))
		}
	}
}

// Names come from a database and may hold anything.
func TestPlainTakesNoOrders(t *testing.T) {
	for in, want := range map[string]string{
		"public.\"new\nline\"":   `public."new?line"`,
		"\x1b[2Jerased":          "?[2Jerased",
		"tab\there":              "tab?here",
		"right\u202eto left":     "right?to left",
		"c1 control \u009b31m":   "c1 control ?31m",
		"größe der bestellungen": "größe der bestellungen",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://app:s3cret@db1:5432/shop":             "postgres://app:***@db1:5432/shop",
		"postgresql://app:p@ss:w/rd@db1/shop?a=b":         "postgresql://app:***@db1/shop?a=b",
		"cannot use 'postgres://app:s3cret@db1/shop', no": "cannot use 'postgres://app:***@db1/shop', no",
		"host=h password=s3cret user=u":                   "host=h password=*** user=u",
		"host=h password = 'it''s \\' here' user=u":       "host=h password = *** user=u",
		"postgres://h/d?password=s3cret&sslmode=require":  "postgres://h/d?password=***&sslmode=require",
		"sslpassword=s3cret":                              "sslpassword=***",
		"OPTIONS (user 'u', password 's3''cret')":         "OPTIONS (user 'u', password '***')",
		"ALTER ROLE u PASSWORD E's3\\'cret';":             "ALTER ROLE u PASSWORD '***';",
		"CONNECTION 'host=h password=s3cret'":             "CONNECTION 'host=h password=***'",
		"postgres://app@db1/shop":                         "postgres://app@db1/shop",
		`relation "password" does not exist`:              `relation "password" does not exist`,
		`password authentication failed for user "app"`:   `password authentication failed for user "app"`,
		"oauth_client_secret=abc":                         "oauth_client_secret=***",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}
