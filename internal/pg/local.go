package pg

import (
	"context"
	"net"

	"github.com/jackc/pgx/v5"
)

// Local says whether conn's server is certain to run on this machine: it sees
// the connection come from its own address, and from the port that it has here.
// Through a tunnel or a proxy the port is another one; a server on this machine
// that is reached in such a way counts as one that is not.
func Local(ctx context.Context, conn *pgx.Conn) (bool, error) {
	c, port := conn.PgConn().Conn(), 0 // of a Unix socket
	if here, ok := c.LocalAddr().(*net.TCPAddr); ok {
		port = here.Port
		if there, ok := c.RemoteAddr().(*net.TCPAddr); !ok || !there.IP.Equal(here.IP) {
			return false, nil
		}
	}
	const query = `SELECT pg_catalog.inet_client_addr() IS NOT DISTINCT FROM pg_catalog.inet_server_addr()
	AND coalesce(pg_catalog.inet_client_port(), 0) = $1::int`
	local := false
	err := conn.QueryRow(ctx, query, port).Scan(&local)
	return local, err
}
