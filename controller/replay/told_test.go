package replay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/wire"
)

// tells appends what a source told under a type.
func (w *teller) tells(source, typ string, e events.Event) events.Seq {
	w.Helper()
	w.stamp++
	data, err := wire.Marshal(map[string]any{"version": "1.4"})
	if err != nil {
		w.Fatal(err)
	}
	e.Source, e.At = "gate", began
	e.Told = &events.Told{Source: source, ID: fmt.Sprint(w.stamp), Type: typ, Data: data}
	e.ID = events.ToldID(source, "", e.Told.ID)
	seq, err := w.log.Append(w.Context(), events.Entry{Event: e})
	if err != nil {
		w.Fatal(err)
	}
	return seq
}

func (w *teller) notes(typ string, about ...events.Ref) events.Seq {
	return w.tells("ci", typ, events.Event{Type: events.NoteTold, Body: events.Note{Objects: about}})
}

func (w *teller) holds(name string, sel events.Select) events.Seq {
	return w.tells("ci", "hold.placed", events.Event{Type: events.HoldPlaced, Body: events.Hold{Owner: "ci", Name: name, Select: sel, Until: began.Add(24 * time.Hour), Reason: "release day"}})
}

func (w *teller) lifts(name string) events.Seq {
	return w.tells("ci", "hold.lifted", events.Event{Type: events.HoldLifted, Body: events.Lifted{Owner: "ci", Name: name}})
}

var (
	agentRef = events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: "agent"}}
	otherRef = events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "logging", Name: "other"}}
	nodeRef  = events.Ref{Kind: events.Node, Key: events.Key{Name: "c"}}
)

// answers asks the log what the tests below compare.
type answers struct {
	*History
	*Causes
}

func (w *teller) ask() answers {
	w.Helper()
	h, err := Open(w.Context(), w.log, nil)
	if err != nil {
		w.Fatal(err)
	}
	cs, err := h.Causes(w.Context(), h.Span().Last)
	if err != nil {
		w.Fatal(err)
	}
	return answers{h, cs}
}

func seqsOf(n *Notes) (seqs []events.Seq) {
	if n != nil {
		for _, s := range n.Steps {
			seqs = append(seqs, s.Seq)
		}
	}
	return seqs
}

// observed tells of a node that a source has found, on which a pod is made then.
func (w *teller) observed() (node events.Seq, pod *corev1.Pod) {
	w.is(events.DaemonSet, w.ds, events.Event{Actor: "alice", Verb: "create"})
	hash := w.revision(1)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "c", UID: "node-c"}}
	o, err := events.NewObject(events.Node, n)
	if err != nil {
		w.Fatal(err)
	}
	node = w.tells("inventory", "node.observed", events.Event{Type: "node.created", Body: o})
	return node, w.run("c", hash)
}

// TestWhyEndsAtWhatWasTold: the chain of a pod ends at the node that a source
// told of, with the notes about pod, node and DaemonSet beside it and no others.
func TestWhyEndsAtWhatWasTold(t *testing.T) {
	w := tell(t)
	first := w.notes("com.example.deploy.started", agentRef, nodeRef)
	w.notes("com.example.deploy.started", otherRef)
	node, pod := w.observed()
	last := w.notes("com.example.rack.moved", nodeRef, nodeRef)
	x := w.ask()
	why, err := x.Why(t.Context(), x.Causes, Subject{Kind: events.Pod, Key: events.Key{Namespace: pod.Namespace, Name: pod.Name}})
	if err != nil {
		t.Fatal(err)
	}
	end := why.Steps[len(why.Steps)-1]
	if end.Seq != node || end.Told == nil || end.Told.Source != "inventory" || end.Told.Type != "node.observed" || !why.Known {
		t.Errorf("ends at %+v, told %+v", end, end.Told)
	}
	if got := fmt.Sprint(seqsOf(why.Notes)); got != fmt.Sprint([]events.Seq{first, last}) {
		t.Errorf("notes %v", got)
	}
	of, err := x.Effects(t.Context(), x.Causes, node, 10)
	if err != nil || of.Nodes != 1 || of.Of.Told == nil {
		t.Errorf("%+v %v", of, err)
	}
	if of, err = x.Effects(t.Context(), x.Causes, first, 10); err != nil || of.Last != 0 {
		t.Errorf("a note has led to %+v %v", of, err)
	}
}

// TestNotesAreBounded: the last notes are told, and how many there were before.
func TestNotesAreBounded(t *testing.T) {
	w := tell(t)
	w.is(events.DaemonSet, w.ds, events.Event{Actor: "alice"})
	for range maxNotes + 5 {
		w.notes("com.example.tick", agentRef)
	}
	x := w.ask()
	why, err := x.Why(t.Context(), x.Causes, Subject{Kind: events.DaemonSet, Key: agentRef.Key})
	if err != nil {
		t.Fatal(err)
	}
	if n := why.Notes; n == nil || len(n.Steps) != maxNotes || n.Older != 5 || n.Steps[maxNotes-1].Seq != x.Span().Last {
		t.Errorf("%+v", n)
	}
	if s := why.Notes.Steps[0]; !strings.Contains(s.What, "com.example.tick about ds/logging/agent") || !strings.Contains(s.What, "1.4") {
		t.Error(s.What)
	}
}

// TestDiffNamesWhatWasTold: each change of a source is a cause of its own, and
// what was told besides is listed, by what is asked for.
func TestDiffNamesWhatWasTold(t *testing.T) {
	w := tell(t)
	from := events.Seq(w.stamp)
	note := w.notes("com.example.deploy.started", agentRef)
	node, _ := w.observed()
	hold := w.holds("freeze", events.Select{Nodes: []string{"c"}})
	lifted := w.lifts("freeze")
	x := w.ask()
	d, err := x.Diff(t.Context(), from, x.Span().Last, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, g := range d.Groups {
		if g.Cause != nil && g.Cause.Seq == node {
			found = g.Cause.Told.Source == "inventory" && len(g.Changes) == 2 // the node, its pod
		}
	}
	if !found {
		t.Errorf("%+v", d.Groups)
	}
	for want, f := range map[string]Filter{
		fmt.Sprint([]events.Seq{note, hold, lifted}): {},
		fmt.Sprint([]events.Seq{note}):               {Kind: events.DaemonSet},
		fmt.Sprint([]events.Seq{hold, lifted}):       {Kind: events.Node, Key: nodeRef.Key},
		fmt.Sprint([]events.Seq(nil)):                {Kind: events.Secret},
	} {
		if d, err = x.Diff(t.Context(), from, x.Span().Last, f); err != nil || fmt.Sprint(seqsOf(d.Notes)) != want {
			t.Errorf("%+v: %v, want %s, %v", f, seqsOf(d.Notes), want, err)
		}
	}
}

// TestSearchFindsWhatWasTold: by any text of it, also by who told it.
func TestSearchFindsWhatWasTold(t *testing.T) {
	w := tell(t)
	note := w.notes("com.example.deploy.started", agentRef)
	hold := w.holds("freeze", events.Select{Namespaces: []string{"logging"}})
	node, _ := w.observed()
	x := w.ask()
	for text, want := range map[string][]events.Seq{"com.example": {note}, "release day": {hold}, "inventory": {node}, "1.4": {note, hold, node}} {
		found, err := x.Search(t.Context(), Query{Text: text}, 1, x.Span().Last)
		if err != nil {
			t.Fatal(err)
		}
		var seqs []events.Seq
		for _, hit := range found.Hits {
			if seqs = append(seqs, hit.Seq); hit.Told == nil {
				t.Errorf("#%d: nobody told it", hit.Seq)
			}
		}
		if fmt.Sprint(seqs) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", text, seqs, want)
		}
	}
}

// TestReceiptListsWhatWasTold: notes about the DaemonSet and holds of it, and
// nothing that is about another.
func TestReceiptListsWhatWasTold(t *testing.T) {
	w := tell(t)
	w.ds.Labels = map[string]string{"tier": "edge"}
	w.notes("com.example.early", agentRef)
	w.is(events.DaemonSet, w.ds, events.Event{Actor: "alice"})
	want := []events.Seq{w.notes("com.example.deploy.started", otherRef, agentRef), w.holds("edge", events.Select{Labels: "tier=edge"})}
	w.notes("com.example.deploy.started", otherRef)
	w.holds("core", events.Select{Labels: "tier=core"})
	want = append(want, w.lifts("edge"), w.lifts("older"))
	w.lifts("core")
	w.rolledOut()
	w.notes("com.example.late", agentRef)
	x := receiptOf(t, w.log, 0)
	if fmt.Sprint(seqsOf(x.Told)) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", seqsOf(x.Told), want)
	}
}
