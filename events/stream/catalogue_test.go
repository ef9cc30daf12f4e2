package stream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/natsd"
)

// TestCatalogue holds the rows of the catalogue of bad input that are the server's to
// refuse. The user is one who may publish on the log: rollcall itself.
func TestCatalogue(t *testing.T) {
	nc := mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed}))
	log, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	subject := mustSubjects(t).Object(events.Node, events.Key{Name: "n1"})
	last := func() events.Seq {
		t.Helper()
		info, err := log.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.Last
	}
	// 9.1-E40: what would take events away, or make some by itself, is not turned on.
	for _, h := range []string{"Nats-Rollup: all", "Nats-Rollup: sub", "Nats-TTL: 1s", "Nats-Schedule: @at 2030-01-01T00:00:00Z", "Nats-Incr: +1"} {
		name, value, _ := strings.Cut(h, ": ")
		_, err := log.publish(t.Context(), &nats.Msg{Subject: subject, Data: []byte("x"), Header: nats.Header{name: {value}}})
		var refused *jetstream.APIError
		if !errors.As(err, &refused) || last() != 0 {
			t.Errorf("%s: %v; the log ends at #%d", h, err, last())
		}
	}
	// 9.1-E2, 9.1-E41: an event and its headers have a bound together.
	most := int64(config(mustSubjects(t), Options{}).MaxMsgSize)
	for what, m := range map[string]*nats.Msg{
		"a large event":   {Subject: subject, Data: make([]byte, most+1)},
		"a large header":  {Subject: subject, Data: []byte("x"), Header: nats.Header{"X": {strings.Repeat("x", int(most))}}},
		"10,000 of 400 B": {Subject: subject, Data: []byte("x"), Header: headers(10_000, 400)},
	} {
		if _, err := log.publish(t.Context(), m); !errors.Is(err, events.ErrTooLarge) || last() != 0 {
			t.Errorf("%s: %v; the log ends at #%d", what, err, last())
		}
	}
	if _, err := log.publish(t.Context(), &nats.Msg{Subject: subject, Data: []byte("x"), Header: nats.Header{"X": {strings.Repeat("x", 64<<10)}}}); err == nil || last() != 0 {
		t.Errorf("a header of 64 KiB: %v; the log ends at #%d", err, last())
	}
	// Small ones are stored: nothing is read of them.
	if _, err := log.publish(t.Context(), &nats.Msg{Subject: subject, Data: []byte("x"), Header: headers(1000, 40)}); err != nil {
		t.Error(err)
	}
	for e, err := range log.Read(t.Context(), 0) {
		if b, ok := e.Body.(events.Unreadable); err != nil || !ok || b.Code != "E-EVT-MSGPACK" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	// 9.1-E46: a batch without one of its messages, or without its end, is none of it.
	began := last()
	part := func(id string, n int, commit bool) (events.Seq, error) {
		m := &nats.Msg{Subject: subject, Data: []byte("x"), Header: nats.Header{batchID: {id}, batchSeq: {strconv.Itoa(n)}}}
		if !commit {
			return 0, nc.PublishMsg(m)
		}
		m.Header[batchCommit] = []string{"1"}
		return log.publish(t.Context(), m)
	}
	for n := 1; n <= 2; n++ {
		_, _ = part("gap", n, false)
		_, _ = part("open", n, false)
	}
	if seq, err := part("gap", 4, true); err == nil {
		t.Errorf("a batch without its third message is at #%d", seq)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if last() != began {
		t.Errorf("the log ends at #%d, want #%d", last(), began)
	}
}

func headers(n, size int) nats.Header {
	h := nats.Header{}
	for i := range n {
		h[fmt.Sprintf("X-%d", i)] = []string{strings.Repeat("x", size)}
	}
	return h
}
