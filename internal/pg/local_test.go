package pg

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// Only a connection that ends at the server itself tells that it is here.
func TestLocal(t *testing.T) {
	s := pgtest.Start(t, 18)
	local := func(cfg *pgx.ConnConfig) bool {
		conn, err := Connect(t.Context(), cfg, ReadData, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer Close(conn)
		here, err := Local(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		return here
	}
	direct := s.Config(t, s.Database(t))
	if !local(direct) {
		t.Error("a server on this machine is not known to be here")
	}
	through := direct.Copy()
	through.Host, through.Port = relay(t, func(int) string { return fmt.Sprintf("%s:%d", direct.Host, direct.Port) })
	if local(through) {
		t.Error("what a proxy leads to is taken for a server on this machine")
	}
}
