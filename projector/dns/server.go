package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"rollcall/projector/apiserver/netlimit"
	"rollcall/projector/table"
)

// Bounds of a server. A question over UDP that comes when so many are being
// answered gets no answer: a resolver asks again.
const (
	mostAtOnce      = 64
	mostConnections = 128
	patience        = 10 * time.Second // with a connection
	largest         = 1232             // bytes of an answer over UDP that pass everywhere
)

// portTries is how often a port is looked for that is free for UDP and for TCP.
const portTries = 20

// Server answers questions at an address, over UDP and TCP.
type Server struct {
	objects *table.Tables
	packets net.PacketConn
	streams net.Listener
	room    chan struct{}
}

// Listen opens an address, host:port, for questions about the objects. Port 0 is
// one that the system chooses.
func Listen(address string, objects *table.Tables) (*Server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	for range portTries {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", address); err != nil {
			return nil, err
		}
		_, taken, splitErr := net.SplitHostPort(packets.LocalAddr().String())
		if splitErr != nil {
			return nil, errors.Join(splitErr, packets.Close())
		}
		var streams net.Listener
		if streams, err = net.Listen("tcp", net.JoinHostPort(host, taken)); err == nil {
			return &Server{objects, packets, netlimit.New(streams, netlimit.Limits{Strangers: mostConnections, Patience: patience}), make(chan struct{}, mostAtOnce)}, nil
		}
		_ = packets.Close() // nothing came through it
		if port != "0" {
			break
		}
	}
	return nil, err
}

// Address is where the server answers.
func (s *Server) Address() string { return s.packets.LocalAddr().String() }

// Close closes a server that has not run.
func (s *Server) Close() error { return errors.Join(s.packets.Close(), s.streams.Close()) }

// Run answers until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	servers := []*dns.Server{
		{PacketConn: s.packets, Handler: s, UDPSize: dns.DefaultMsgSize},
		{Listener: s.streams, Handler: s, IdleTimeout: func() time.Duration { return patience }},
	}
	ended := make(chan error, len(servers))
	for _, d := range servers {
		go func() { ended <- d.ActivateAndServe() }()
	}
	var err error
	left := len(servers)
	select {
	case err = <-ended:
		left--
	case <-ctx.Done():
	}
	closed := s.Close() // what is being answered is as good as lost
	for range left {
		<-ended
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("answer questions about names: %w", errors.Join(err, closed))
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, asked *dns.Msg) {
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	default:
		return
	}
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	if err := w.WriteMsg(reply(s.objects, asked, udp)); err != nil {
		// A name that others than the API wrote may be none that fits into a message.
		_ = w.WriteMsg(new(dns.Msg).SetRcode(asked, dns.RcodeServerFailure))
	}
}

// reply is the answer to a message, no larger than who asked takes.
func reply(objects *table.Tables, asked *dns.Msg, udp bool) *dns.Msg {
	m := new(dns.Msg).SetReply(asked)
	m.Compress = true
	size := dns.MaxMsgSize
	if udp {
		size = dns.MinMsgSize
	}
	edns := asked.IsEdns0()
	switch {
	case len(asked.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case edns != nil && edns.Version() != 0:
		m.Rcode = dns.RcodeBadVers
	default:
		a := Resolve(objects, asked.Question[0])
		m.Rcode, m.Authoritative = a.Code, a.Authoritative()
		m.Answer, m.Ns, m.Extra = a.Records, a.Authority, a.More
	}
	if edns != nil {
		m.SetEdns0(largest, edns.Do())
		if udp {
			size = int(min(max(edns.UDPSize(), dns.MinMsgSize), largest))
		}
	}
	m.Truncate(size)
	return m
}
