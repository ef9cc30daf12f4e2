package scenes

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller/replay"
	"rollcall/events/chain"
	"rollcall/events/recording"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/recordings anew")

// scenes are the recordings, by the names of their files.
var scenes = map[string]func(*cluster){
	"clean-roll":     cleanRoll,
	"bad-image":      badImage,
	"stuck-node":     stuckNode,
	"zone-outage":    zoneOutage,
	"second-update":  secondUpdate,
	"flapping-nodes": flappingNodes,
}

// maxRecording bounds each file: they are in the repository.
const maxRecording = 1 << 20

// cleanRoll is a rollout to which nothing happens.
func cleanRoll(c *cluster) {
	c.begin(25, intstr.FromString("10%"))
	c.setImage("2.4.0")
	c.run(3 * time.Minute)
	c.rolledOut()
}

// badImage is a rollout to an image that cannot be pulled. Somebody sees it after
// three minutes and goes back; later the image is right.
func badImage(c *cluster) {
	c.begin(25, intstr.FromInt32(3))
	c.setImage("non-existent")
	c.run(3 * time.Minute)
	c.stuck()
	c.setImage("2.3.1")
	c.run(time.Minute)
	c.rolledOut()
	c.setImage("2.4.1")
	c.run(3 * time.Minute)
	c.rolledOut()
}

// stuckNode is a rollout of one node after the other, while a node has failed
// that had its turn: its pod can neither end nor be replaced, and uses up the
// budget until the node is back.
func stuckNode(c *cluster) {
	c.begin(25, intstr.FromInt32(1))
	c.setImage("2.4.0")
	c.run(20 * time.Second)
	c.fail("node-0014", true)
	c.run(15 * time.Minute)
	c.stuck()
	c.fail("node-0014", false)
	c.run(8 * time.Minute)
	c.rolledOut()
}

// zoneOutage is a rollout during which a zone goes out for four minutes.
func zoneOutage(c *cluster) {
	c.begin(30, intstr.FromInt32(3))
	c.setImage("2.4.0")
	c.run(25 * time.Second)
	zone := c.zone("region-1b")
	for _, n := range zone {
		c.fail(n, true)
		c.run(300 * time.Millisecond)
	}
	c.run(4 * time.Minute)
	c.stuck()
	for _, n := range zone {
		c.fail(n, false)
		c.run(700 * time.Millisecond)
	}
	c.run(5 * time.Minute)
	c.rolledOut()
}

// zone returns the names of the nodes of a zone.
func (c *cluster) zone(name string) (nodes []string) {
	for n := range c.State.Nodes() {
		if n.Labels()[corev1.LabelTopologyZone] == name {
			nodes = append(nodes, n.Name)
		}
	}
	if len(nodes) == 0 {
		c.t.Fatalf("there is no zone %s", name)
	}
	return nodes
}

// secondUpdate is a rollout that is overtaken by the next, of another image.
func secondUpdate(c *cluster) {
	c.begin(25, intstr.FromInt32(2))
	c.setImage("2.4.0")
	c.run(40 * time.Second)
	c.stuck()
	c.setImage("2.4.1")
	c.run(4 * time.Minute)
	c.rolledOut()
}

// flappingNodes is a rollout over nodes of which three come and go.
func flappingNodes(c *cluster) {
	c.begin(25, intstr.FromInt32(2))
	c.setImage("2.4.0")
	for i := range 8 {
		for _, n := range []string{"node-0004", "node-0011", "node-0020"} {
			c.fail(n, i%2 == 0)
			c.run(3 * time.Second)
		}
		c.run(12 * time.Second)
	}
	c.run(4 * time.Minute)
	c.rolledOut()
}

// TestRecordings plays every scene twice, which gives the same events. Every plan
// of its recording is decided again as it was, whatever this build would record.
func TestRecordings(t *testing.T) {
	for name, play := range scenes {
		t.Run(name, func(t *testing.T) {
			c, again := newCluster(t), newCluster(t)
			play(c)
			if play(again); again.State.Position() != c.State.Position() {
				t.Errorf("a scene ends at %+v, and then at %+v", c.State.Position(), again.State.Position())
			}
			if err := c.State.Check(); err != nil {
				t.Error(err)
			}
			if n, _ := c.State.Quarantined(); n > 0 {
				t.Errorf("%d events are quarantined", n)
			}
			path := filepath.Join("..", "..", "testdata", "recordings", name+".rollcall")
			if *rewrite {
				record(t, c, path)
			}
			r, err := recording.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := r.Verify(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if last, want := r.Manifest().Last, c.State.Position(); last.Seq != want.Seq || last.Chain != want.Chain {
				t.Logf("this build would record other events: -rewrite writes them")
			}
			decided, err := replay.Verify(t.Context(), r)
			if err != nil || len(decided.Differences) > 0 || decided.Quarantined > 0 || decided.Equal == 0 {
				t.Errorf("verify: %v, %+v", err, decided)
			}
			if info, err := os.Stat(path); err != nil || info.Size() > maxRecording {
				t.Errorf("%d bytes, %v", info.Size(), err)
			}
		})
	}
}

// record writes a scene as rollcall record export would.
func record(t *testing.T, c *cluster, path string) {
	t.Helper()
	w, err := recording.Create(path, recording.Options{Cluster: c.Subjects.Cluster(), Before: chain.Position{Log: c.State.Position().Log}})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range c.Log.Read(context.Background(), 0) {
		if err == nil {
			err = w.Append(e)
		}
		if err != nil {
			t.Fatal(err, w.Abort())
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d events", path, c.State.Seq())
}
