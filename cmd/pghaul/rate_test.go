package main

import "testing"

func TestRate(t *testing.T) {
	t.Parallel()
	var r rate
	if err := r.Set("20MB"); err != nil || r != 20<<20 || r.String() != "20480kB" {
		t.Errorf("20MB is %d bytes, %s, %v", r, &r, err)
	}
	for _, s := range []string{"", "20", "-1MB", "0kB", "fast"} {
		if err := r.Set(s); err == nil {
			t.Errorf("%q was taken for %d bytes a second", s, r)
		}
	}
}
