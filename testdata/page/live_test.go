package page

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestLive: over an instance the page shows how nodes stand as they change, goes on
// where it was, and has the hash of the command where it stands still; every view is
// there.
func TestLive(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	s := serve(t, "up", "--nodes", fmt.Sprint(*many), "-f", "example:fluentd", "--data", data, "--durability", "relaxed")
	b := browse(t)
	b.enter(s)
	b.show("#/nodes?ds=kube-system%2Ffluentd")
	b.until("document.body.dataset.mode === 'LIVE'")
	const updated = "[...document.querySelectorAll('.legend span')].some(e => e.textContent.includes('updated'))"
	b.until(updated)
	b.shot("live")
	command(t, "kubectl", "--data", data, "-n", "kube-system", "set", "image", "ds/fluentd", "fluentd=xianchao/fluentd:v2.5.2")
	b.until("[...document.querySelectorAll('.legend span')].some(e => e.textContent.includes('old revision'))")
	b.shot("rolling")
	for _, view := range []string{"overview", "nodes", "rollouts", "events", "object", "compare", "sources", "health"} {
		b.show("#/" + view)
		if text := eval[string](b, "[...document.querySelectorAll('[role=alert]')].map(e => e.textContent).join()"); text != "" {
			t.Errorf("%s: %s", view, text)
		}
		b.clean(view)
	}
	b.shot("live-health")
	b.show("#/nodes?at=rollout/kube-system/fluentd%232:start&ds=kube-system%2Ffluentd")
	b.until("document.body.dataset.mode === 'AT' && /at=\\d+/.test(location.hash)")
	b.until("[...document.querySelectorAll('.legend span')].some(e => e.textContent.includes('old revision'))")
	b.shot("start")
	b.clean("the start of the rollout")
}

// TestLost: a page says when nothing comes any more, so that nobody takes the past for
// now, and goes on by itself, where it was, when the instance is back.
func TestLost(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	up := func(until string, more ...string) *server {
		t.Helper()
		s := start(t, append([]string{"up", "--data", data, "--durability", "relaxed", "--ui", "none"}, more...)...)
		s.until(until)
		return s
	}
	first := up("RolledOut", "--nodes", "20", "-f", "example:fluentd")
	b := browse(t)
	b.enter(serve(t, "ui", "--data", data))
	b.show("#/events")
	b.until("document.body.dataset.mode === 'LIVE'")
	was := eval[int](b, "document.querySelector('rc-log').last")
	first.stop()
	b.until("document.body.dataset.mode === 'LOST' && document.querySelector('#lost [role=alert]')?.textContent.includes('E-CLI-OFFLINE')")
	if badge := eval[string](b, "document.querySelector('.badge').textContent"); !strings.Contains(badge, "LOST since ") {
		t.Errorf("the badge says %q", badge)
	}
	b.shot("lost")
	up("Ctrl-C")
	b.until(fmt.Sprintf("document.body.dataset.mode === 'LIVE' && !document.querySelector('#lost') && document.querySelector('rc-log')?.last >= %d", was))
	command(t, "node", "fail", "node-0002", "--data", data)
	b.until("[...document.querySelectorAll('rc-log .row')].some(e => e.textContent.includes('annotation rollcall/fail=true'))")
}

var readme = flag.Bool("readme", false, "the demo has 1,000 nodes, as in the picture of README.md, which is what it leaves with -shots")

// TestDemo: a demo is a page in which something goes on, and says what to look at.
func TestDemo(t *testing.T) {
	nodes := 300
	if *readme {
		nodes = 1000
	}
	data := filepath.Join(t.TempDir(), "d")
	s := serve(t, "demo", "--scenario", "zone-outage", "--nodes", fmt.Sprint(nodes), "--speed", "4", "--data", data)
	b := browse(t)
	b.enter(s)
	b.until("document.querySelector('.scene')")
	s.until("rollcall/fail-") // the zone comes back
	back := regexp.MustCompile(`(?m)^#(\d+) .* annotation -rollcall/fail`).FindStringSubmatch(command(t, "log", "--data", data, "--type", "node.updated"))
	if back == nil {
		t.Fatal("no node has come back")
	}
	seq, err := strconv.Atoi(back[1])
	if err != nil {
		t.Fatal(err)
	}
	b.show(fmt.Sprintf("#/nodes?at=%d&group=topology.kubernetes.io%%2Fzone", seq-1))
	b.until("['node lost', 'updated', 'old revision'].every(w => [...document.querySelectorAll('.legend span')].some(e => e.textContent.includes(w)))")
	b.shot("demo")
	b.clean("the demo")
}
