package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher/gate"
)

// code returns the code and the exit code of a refusal.
func code(err error) (string, int) {
	var e *events.Error
	if errors.As(err, &e) {
		return e.Code, e.Exit
	}
	return "", 0
}

// serve starts a server with the stream of a log on it.
func serve(t *testing.T, subjects events.Subjects) (*nats.Conn, jetstream.Stream) {
	t.Helper()
	ns, err := natsd.Start(t.Context(), natsd.Options{Cluster: "test", Durability: natsd.Relaxed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	nc, err := ns.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: subjects.Stream(), Subjects: []string{subjects.All()}})
	if err != nil {
		t.Fatal(err)
	}
	return nc, stream
}

// TestGate asks a gate over NATS: before it is there, while it is, when what it
// asks fails, and when it has gone. Nothing of that is in the log.
func TestGate(t *testing.T) {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	nc, stream := serve(t, subjects)
	ask := func() (gate.Info, error) { return gate.Ask(t.Context(), nc, subjects, "bob") }
	_, err = ask()
	if c, exit := code(err); c != "E-GATE-DOWN" || exit != events.ExitFailure || !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("without an instance: %v", err)
	}
	said := gate.Info{Cluster: "test", Seq: 7, API: "https://127.0.0.1:1", Kubeconfig: "/d/kubeconfig"}
	var bad error
	var archived []string
	s, err := gate.Service{Info: func(context.Context) (gate.Info, error) { return said, bad },
		Archive: func(_ context.Context, user string, a gate.Archive) error {
			archived = append(archived, fmt.Sprintf("%s #%d %x", user, a.Seq, a.Chain))
			return bad
		}}.Serve(t.Context(), nc, subjects)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(); err != nil || got != said {
		t.Errorf("%+v, %v", got, err)
	}
	for want, failure := range map[string]error{
		"E-GATE-FAILED: the request was not carried out: disk; try again": errors.New("disk"),
		"E-LOG-FULL: full (here): why; wait":                              &events.Error{Code: "E-LOG-FULL", What: "full", Where: "here", Why: "why", Do: "wait", Exit: events.ExitHalt},
	} {
		bad = failure
		if _, err := ask(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	err = gate.AskArchive(t.Context(), nc, subjects, "ann", gate.Archive{Seq: 9, Chain: []byte{1, 2}})
	if bad = nil; err == nil || !slices.Equal(archived, []string{"ann #9 0102"}) {
		t.Errorf("archive that is refused: %v, %q", err, archived)
	}
	if err := gate.AskArchive(t.Context(), nc, subjects, "ann", gate.Archive{Seq: 9}); err != nil {
		t.Errorf("archive: %v", err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("requests are in the log: %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := ask(); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after its end: %v", err)
	}
}

// TestUnanswered: who is not answered is told so in time.
func TestUnanswered(t *testing.T) {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	nc, _ := serve(t, subjects)
	if _, err := nc.Subscribe(subjects.Gate("*", "info"), func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	_, err = gate.Ask(t.Context(), nc, subjects, "bob")
	if c, exit := code(err); c != "E-GATE-TIMEOUT" || exit != events.ExitTimeout {
		t.Error(err)
	}
}
