package page

import (
	"flag"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

var wide = flag.String("wide", "", "recording of 100,000 nodes, which TestWide of controller/scenes makes")

// TestWide: every view over 100,000 nodes: it is reached by its key, is there, has the
// same address when it is loaded again, looks as it did, and complains of nothing.
func TestWide(t *testing.T) {
	if *wide == "" {
		t.Fatal("give a recording of 100,000 nodes with -wide: go test ./controller/scenes -run TestWide -wide FILE -wide-nodes 100000")
	}
	s := serve(t, "ui", "--rec", *wide)
	b := browse(t)
	b.enter(s)
	const cells = "document.querySelector('rc-grid')?.names.length === 100000 && document.querySelector('rc-grid').cells.length === 400000"
	last := eval[int](b, `fetch("v1/info").then((r) => r.json()).then((a) => a.coverage.last)`)
	for _, v := range []struct{ key, name, query, needs string }{
		{"1", "overview", "", "document.querySelector('.card')?.textContent.includes('of 100,000 available')"},
		{"2", "nodes", "?group=topology.kubernetes.io%2Fzone", cells + " && document.querySelector('rc-grid').groups.length > 1"},
		{"3", "rollouts", "", "document.querySelector('.gantt .span') && document.querySelector('#attribution')"},
		{"4", "events", "", "document.querySelectorAll('rc-log .row time').length > 5"},
		{"5", "objects", "?kind=Node", "document.querySelectorAll('main li a').length === 500"},
		{"6", "graph", "?event=300", "document.querySelectorAll('svg.graph .box').length > 1"},
		{"7", "diff", fmt.Sprintf("?mark=%d", last-200), "document.querySelectorAll('.card').length > 0"},
		{"8", "compare", "", "document.querySelectorAll('tbody tr').length > 5"},
		{"9", "whatif", "", "document.querySelector('#whatif-play')"},
		{"0", "sources", "", "document.querySelectorAll('#rates tbody tr').length > 2"},
		{"h", "health", "", "document.querySelector('#state-hash').textContent.length === 64"},
	} {
		b.show("#/whatif" + v.query)
		b.run(chromedp.KeyEvent(v.key))
		b.shown()
		b.until(v.needs)
		if text := eval[string](b, "[...document.querySelectorAll('[role=alert]')].map(e => e.textContent).join()"); text != "" {
			t.Errorf("%s: %s", v.name, text)
		}
		shown := eval[string](b, "location.hash")
		b.run(chromedp.Reload())
		b.until("document.querySelector('main h1')")
		b.shown()
		b.until(v.needs)
		if again := eval[string](b, "location.hash"); again != shown {
			t.Errorf("%s: its address is %s, and %s when it is loaded again", v.name, shown, again)
		}
		b.like("wide-" + v.name)
		b.clean(v.name)
	}
}
