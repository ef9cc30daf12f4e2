package page

import (
	"fmt"
	"path/filepath"
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
