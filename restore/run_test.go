package restore

import (
	"strings"
	"testing"
)

func TestNewerTarget(t *testing.T) {
	if text := newerTarget(180004); text != "" {
		t.Errorf("a known version is warned of: %s", text)
	}
	if text := newerTarget(190000); !strings.Contains(text, "PostgreSQL 19.0") || !strings.Contains(text, "18") {
		t.Errorf("warning %q, want one with both versions", text)
	}
}
