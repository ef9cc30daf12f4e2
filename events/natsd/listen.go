package natsd

import (
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
)

// address is where a server listens.
type address struct {
	none bool
	host string
	port int
}

// parseListen reads an Options.Listen and checks that its port is free. The
// check is early and not binding: it spares the user a half-made data directory.
func parseListen(listen string) (address, error) {
	if listen == "" || listen == noListen {
		return address{none: true}, nil
	}
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return address{}, listenError(listen, err.Error(), "write host:port, or none")
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return address{}, listenError(listen, fmt.Sprintf("%q is no port", p), "use a port from 0 to 65535")
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return address{}, listenError(listen, "only loopback addresses are served", "use 127.0.0.1:"+p)
	}
	if port == 0 {
		return address{host: host, port: server.RANDOM_PORT}, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, p))
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		return address{}, listenError(listen, err.Error(), "use another port, or port 0 for any")
	}
	return address{host: host, port: int(port)}, nil
}

func listenError(listen, why, do string) error {
	return &events.Error{Code: "E-CLI-LISTEN", What: "the NATS server cannot listen there", Where: listen,
		Why: why, Do: do, Exit: events.ExitInput}
}
