package scenes

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
)

var (
	wideFile  = flag.String("wide", "", "where TestWide leaves its recordings, with %d in the name for their nodes if they are several; empty: nowhere")
	wideNodes = flag.String("wide-nodes", "3000", "nodes of the recordings that TestWide makes, with commas")
	wideLong  = flag.Int("wide-events", 0, "events of it, of which those that are left say that pods are ready or not")
)

// TestWide: a recording that is made wide is one that a fold believes, and its nodes
// stand as they are to.
func TestWide(t *testing.T) {
	for text := range strings.SplitSeq(*wideNodes, ",") {
		nodes, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		path := strings.ReplaceAll(cmp.Or(*wideFile, filepath.Join(t.TempDir(), "wide.rollcall")), "%d", text)
		makeWide(t, filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall"), path, nodes, events.Seq(*wideLong))
		checkWide(t, path, nodes)
	}
}

// checkWide folds a recording.
func checkWide(t *testing.T, path string, nodes int) {
	t.Helper()
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := projector.New("")
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		projector.Fold(s, e)
	}
	n, last := s.Quarantined()
	if n > 0 {
		t.Errorf("%d events are not believed, the last of them %+v", n, last[len(last)-1])
	}
	ready := 0
	for n := range s.Nodes() {
		if n.Ready {
			ready++
		}
	}
	c := s.DaemonSet(agentKey).Counts
	if *wideLong > 0 {
		return
	}
	if s.NodeCount() != nodes || ready != nodes || c.Desired != nodes || c.Available >= c.Desired || c.Available < c.Desired*98/100 {
		t.Errorf("%d nodes, %d of them ready, and %+v", s.NodeCount(), ready, c)
	}
}

// Bounds of what makeWide changes in the bytes of an event: text of the same length.
const (
	namedNode = len("node-0003")    // names of nodes
	namedPod  = len("-nnsnl68j")    // ends of names of pods
	numbered  = len("000000000001") // ends of uids and ids
)

// model is what a node and its pod of a recording are copied from: the last that was
// told of them, and what the kubelet told first of the pod.
type model struct {
	node, pod, begun events.Event
	podName          string
	nodeUID, podUID  string
}

// makeWide makes a recording of as many nodes as are wanted out of a small one whose
// DaemonSet is on every node: what that tells, and then nodes and pods that are as
// the last ones in it, but for their names. Of a few the pod is
// not ready. Nobody has decided that: it is as wide as a large cluster, for
// who has to show one, and costs a second where a large cluster takes minutes.
func makeWide(tb testing.TB, small, path string, nodes int, long events.Seq) {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	r, err := recording.Open(small)
	must(err)
	defer r.Close()
	w, err := recording.Create(path, recording.Options{Cluster: r.Manifest().Cluster, Before: projector.New(r.Manifest().Log).Position()})
	must(err)
	var last events.Event
	byNode, order := map[string]*model{}, []string{}
	for e, err := range r.Scan(context.Background(), 0, nil) {
		must(err)
		e.Raw = bytes.Clone(e.Raw)
		must(w.Append(e))
		last = e
		if name := see(byNode, e); name != "" {
			order = append(order, name)
		}
	}
	write := func(e events.Event, i int, verb string) {
		last.Seq, last.Stored = last.Seq+1, last.Stored.Add(20*time.Microsecond)
		e.Seq, e.Stored = last.Seq, last.Stored
		name := order[i%len(order)]
		must(w.Append(byNode[name].copied(e, name, i, verb)))
	}
	for i := len(order); i < nodes; i++ {
		m := byNode[order[i%len(order)]]
		write(m.node, i, "created")
		if i%101 == 0 {
			write(m.begun, i, "created")
		} else {
			write(m.pod, i, "created")
		}
	}
	for i := 0; last.Seq < long; i++ {
		n := len(order) + i%(nodes-len(order))
		m := byNode[order[n%len(order)]]
		if i/1000%2 == 0 {
			write(m.begun, n, "updated")
		} else {
			write(m.pod, n, "updated")
		}
	}
	must(w.Close())
}

// see notes what an event tells of a node or its pod, and returns the name of a new
// node.
func see(all map[string]*model, e events.Event) (added string) {
	told := events.Decode(e.Raw)
	o, ok := told.Body.(events.Object)
	switch {
	case ok && o.Kind == events.Node:
		m := all[o.Key.Name]
		if m == nil {
			m, added = &model{}, o.Key.Name
			all[o.Key.Name] = m
		}
		m.node, m.nodeUID = e, string(o.UID)
	case ok && o.Kind == events.Pod:
		for name, m := range all {
			if !bytes.Contains(e.Raw, []byte(name)) {
				continue
			}
			switch {
			case o.Key.Name != m.podName: // the first answers a command, of which there is one
				m.begun, m.podName, m.podUID = events.Event{}, o.Key.Name, string(o.UID)
			case m.begun.Raw == nil:
				m.begun = e
			}
			m.pod = e
		}
	}
	return added
}

// copied is an event about the node with a number that was told of another.
func (m *model) copied(e events.Event, node string, i int, verb string) events.Event {
	name := fmt.Sprintf("wide%0*d", namedNode-len("wide"), i)
	pod := m.podName[:len(m.podName)-namedPod] + fmt.Sprintf("-%0*d", namedPod-1, i)
	number := func(text string, n int) string { return text[:len(text)-numbered] + fmt.Sprintf("%0*d", numbered, n) }
	id := events.Decode(e.Raw).ID.String()
	pairs := []string{node, name, m.nodeUID, number(m.nodeUID, i), m.podName, pod, m.podUID, number(m.podUID, i), id, number(id, int(e.Seq)), "node.updated", "node." + verb, "pod.updated", "pod." + verb}
	x := strings.NewReplacer(pairs...)
	e.Raw, e.Subject = []byte(x.Replace(string(e.Raw))), x.Replace(e.Subject)
	return e
}
