package story

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"rollcall/events"
	"rollcall/events/wire"
)

// A Noticer remembers a bounded number of commands, however many are never
// answered, and knows the newest.
func TestNoticerForgetsTheOldest(t *testing.T) {
	n := NewNoticer()
	plan := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "ns", Name: "ds"}, UID: "u"}}
	for range events.MaxCommands {
		plan.Commands = append(plan.Commands, events.Command{Do: events.CreatePod})
	}
	const plans = 3 * maxRemembered / events.MaxCommands
	for seq := range events.Seq(plans) {
		n.Observe(events.Event{Seq: seq + 1, Type: events.Planned, Body: plan})
	}
	if len(n.commands) != maxRemembered || len(n.order) != maxRemembered {
		t.Errorf("%d commands remembered in an order of %d, want %d", len(n.commands), len(n.order), maxRemembered)
	}
	created := func(plan events.Seq) int {
		return len(n.Observe(events.Event{Type: events.ObjectType(events.Pod, events.VerbCreated),
			Cause: events.Cause{Seq: plan}, Body: events.Object{Ref: events.Ref{Kind: events.Pod}}}))
	}
	if created(1) != 0 {
		t.Error("the oldest command is still known")
	}
	if created(plans) != 1 {
		t.Error("the newest command is not known")
	}
	if created(plans) != 0 {
		t.Error("a command was answered twice")
	}
}

// A teller forgets what is gone.
func TestTellerForgetsWhatIsGone(t *testing.T) {
	tl := New()
	ref := events.Ref{Kind: events.Node, Key: events.Key{Name: "n"}}
	tl.Observe(events.Event{Body: events.Object{Ref: ref, Data: []byte{0x80}}})
	tl.Tell(events.Event{Body: events.Gone{Ref: ref}})
	if len(tl.objects) != 0 {
		t.Errorf("%d objects are kept", len(tl.objects))
	}
}

// Whatever bytes a log holds, they are told on one printable line, and the
// same bytes twice are told the same.
func FuzzTell(f *testing.F) {
	seeds := [][]byte{{}, {0x80}, {0xc0}, {0xdf, 0xff, 0xff, 0xff, 0xff}, {0x81, 0xa6, 's', 't', 'a', 't', 'u', 's', 0x91, 0xc0},
		{0x81, 0xa4, 's', 'p', 'e', 'c', 0x92, 0x81, 0xa4, 'n', 'a', 'm', 'e', 0xa1, '\n', 0xc1}}
	for i, s := range seeds {
		f.Add(uint8(i), s, seeds[len(seeds)-1-i], "a\x1b\n")
	}
	kinds := []events.Kind{events.Node, events.Pod, events.DaemonSet, events.ControllerRevision, "Widget"}
	f.Fuzz(func(t *testing.T, kind uint8, old, new []byte, name string) {
		ref := events.Ref{Kind: kinds[int(kind)%len(kinds)], Key: events.Key{Name: name}}
		tell := func() (lines []string) {
			tl := New()
			n := NewNoticer()
			for i, data := range [][]byte{old, new, nil} {
				e := events.Event{Seq: events.Seq(i + 1), Type: events.Type(name), Actor: name, Cause: events.Cause{Seq: 1},
					Body: events.Object{Ref: ref, Data: data}}
				if data == nil {
					e.Body = events.Gone{Ref: ref}
				}
				for _, entry := range tl.Tell(e) {
					lines = append(lines, Line(entry))
				}
				n.Observe(e)
				e.Raw = data
				if j := JSON(e); strings.ContainsRune(string(j), '\n') || !json.Valid(j) {
					t.Errorf("JSON %q", j)
				}
			}
			return lines
		}
		lines := tell()
		for i, again := range tell() {
			if again != lines[i] {
				t.Errorf("told %q, then %q", lines[i], again)
			}
			if strings.ContainsFunc(lines[i], func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }) {
				t.Errorf("not printable: %q", lines[i])
			}
		}
	})
}

func mustJSON(tb testing.TB, j string) []byte {
	tb.Helper()
	data, err := wire.Marshal(json.RawMessage(j))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
