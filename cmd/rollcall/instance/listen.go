package instance

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"

	"rollcall/events"
)

// NoListen is what flags say instead of an address: nowhere.
const NoListen = "none"

// Address is where something is served. The zero one is nowhere.
type Address struct {
	flag string // that has named it
	host string // an IP address; empty: every one of this machine
	port string
}

// ParseListen reads the address that a flag names.
func ParseListen(flag, listen string) (Address, error) {
	if listen == NoListen {
		return Address{}, nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return Address{}, listenError(flag, listen, "it is no address", "write host:port, or none", nil)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, listenError(flag, listen, fmt.Sprintf("%q is no port", port), "use a port from 0 to 65535", nil)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if host != "" && net.ParseIP(host) == nil {
		return Address{}, listenError(flag, listen, fmt.Sprintf("%q is no IP address", host), "use 127.0.0.1:"+port, nil)
	}
	return Address{flag, host, port}, nil
}

// parseNATSListen reads the address of the embedded NATS server, which nobody but
// this machine may reach; nil is nowhere.
func parseNATSListen(listen string) (*net.TCPAddr, error) {
	a, err := ParseListen("--nats-listen", listen)
	if err != nil || a.None() {
		return nil, err
	}
	if err := a.CheckLoopback(); err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(a.port)
	return &net.TCPAddr{IP: net.ParseIP(a.host), Port: port}, cmp.Or(err, a.Probe())
}

func listenError(flag, listen, why, do string, err error) error {
	return &events.Error{Code: "E-CLI-LISTEN", What: "the address cannot be listened at", Where: flag + " " + listen,
		Why: why, Do: do, Exit: events.ExitInput, Err: err}
}

// None reports whether it is nowhere.
func (a Address) None() bool { return a.port == "" }

// everywhere reports whether it is every address of the machine.
func (a Address) everywhere() bool {
	return a.host == "" || net.ParseIP(a.host).IsUnspecified()
}

// loopback reports whether only this machine can reach it.
func (a Address) loopback() bool { return a.host != "" && net.ParseIP(a.host).IsLoopback() }

// CheckLoopback refuses an address that other machines can reach.
func (a Address) CheckLoopback() error {
	if a.None() || a.loopback() {
		return nil
	}
	return listenError(a.flag, net.JoinHostPort(a.host, a.port), "only loopback addresses are served", "use 127.0.0.1:"+a.port, nil)
}

// Loopback opens an address that only this machine can reach.
func (a Address) Loopback() (net.Listener, error) {
	if err := a.CheckLoopback(); err != nil {
		return nil, err
	}
	return a.listen()
}

// hosts are the names and addresses that clients reach the server by.
func (a Address) hosts() ([]string, error) {
	hosts := []string{"localhost", "127.0.0.1", "::1", "kubernetes.default.svc"}
	if name, err := os.Hostname(); err == nil && !a.loopback() && events.CheckName(events.Node, name) == "" && !slices.Contains(hosts, name) {
		hosts = append(hosts, name) // of this machine, by which others may find it
	}
	if !a.everywhere() {
		if ip := net.ParseIP(a.host).String(); !slices.Contains(hosts, ip) {
			hosts = append(hosts, ip)
		}
		return hosts, nil
	}
	own, err := outsideAddresses()
	return append(hosts, own...), err
}

// outsideAddresses are those of this machine that others may reach.
func outsideAddresses() (addresses []string, err error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for _, n := range own {
		if ip, ok := n.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.IsGlobalUnicast() {
			addresses = append(addresses, ip.IP.String())
		}
	}
	return addresses, nil
}

// listen opens the address.
func (a Address) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(a.host, a.port))
	if err == nil {
		return l, nil
	}
	return nil, a.refuses(err)
}

// refuses says why the address cannot be listened at.
func (a Address) refuses(err error) error {
	why := err.Error()
	if op := new(net.OpError); errors.As(err, &op) {
		why = op.Err.Error()
	}
	return listenError(a.flag, net.JoinHostPort(a.host, a.port), why, "use another port, or port 0 for any", err)
}

// Probe refuses an address that is taken. That is early and not binding: it
// spares the user a half-made data directory.
func (a Address) Probe() error {
	if a.None() || a.port == "0" {
		return nil
	}
	l, err := a.listen()
	if err != nil {
		return err
	}
	return l.Close()
}

// serverURL is the address that this machine reaches a listener at by.
func (a Address) serverURL(at *net.TCPAddr) string {
	host := at.IP.String()
	if a.everywhere() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(at.Port))
}

// outsideURL is the address that other machines reach a listener at by, if they
// can: of every address of this machine it is the first.
func (a Address) outsideURL(at *net.TCPAddr) string {
	if a.everywhere() {
		if own, err := outsideAddresses(); err == nil && len(own) > 0 {
			return "https://" + net.JoinHostPort(own[0], strconv.Itoa(at.Port))
		}
	}
	return a.serverURL(at)
}
