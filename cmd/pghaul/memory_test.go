package main

import "testing"

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"1kB": 1024, "512MB": 512 << 20, "2 GB": 2 << 30, "1TB": 1 << 40,
		"": 0, "512": 0, "1gb": 0, "-1MB": 0, "0MB": 0, "1.5GB": 0, "99999999999TB": 0, "MB": 0,
	} {
		got, err := parseMemory(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("parseMemory(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}
