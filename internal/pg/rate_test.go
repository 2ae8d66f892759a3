package pg

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestLimitRate moves bytes over two connections at once, in both directions,
// and looks at the clock.
func TestLimitRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var servers []net.Conn
		cfg, err := pgx.ParseConfig("host=localhost")
		if err != nil {
			t.Fatal(err)
		}
		cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			servers = append(servers, server)
			return client, nil
		}
		LimitRate(cfg, 1000)
		var wg sync.WaitGroup
		began := time.Now()
		for range 2 {
			c, err := cfg.Copy().DialFunc(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			server := servers[len(servers)-1]
			wg.Go(func() {
				if n, err := c.Write(make([]byte, 1500)); n != 1500 || err != nil {
					t.Error(n, err)
				}
				if _, err := io.ReadFull(c, make([]byte, 3500)); err != nil {
					t.Error(err)
				}
				_ = c.Close()
			})
			wg.Go(func() {
				if _, err := io.ReadFull(server, make([]byte, 1500)); err != nil {
					t.Error(err)
				}
				if _, err := server.Write(make([]byte, 3500)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := time.Since(began); got < 9900*time.Millisecond || got > 10100*time.Millisecond {
			t.Errorf("10,000 bytes at 1,000 a second took %v", got)
		}
	})
}
