package scenes

import (
	"flag"
	"path/filepath"
	"testing"

	"rollcall/events/recording"
	"rollcall/projector"
)

var (
	wideFile  = flag.String("wide", "", "where TestWide leaves its recording; empty: nowhere")
	wideNodes = flag.Int("wide-nodes", 3000, "nodes of the recording that TestWide makes")
)

// TestWide: a recording that is made wide is one that a fold believes, and its nodes
// stand as they are to.
func TestWide(t *testing.T) {
	path := *wideFile
	if path == "" {
		path = filepath.Join(t.TempDir(), "wide.rollcall")
	}
	Wide(t, filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall"), path, *wideNodes)
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
	if s.NodeCount() != *wideNodes || ready != *wideNodes || c.Desired != *wideNodes || c.Available >= c.Desired || c.Available < c.Desired*97/100 {
		t.Errorf("%d nodes, %d of them ready, and %+v", s.NodeCount(), ready, c)
	}
}
