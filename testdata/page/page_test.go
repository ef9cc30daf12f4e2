package page

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const recordings = "../../testdata/recordings/"

// views are the views over the recording of a zone that is lost, as their addresses.
var views = []struct{ name, hash, needs string }{
	{"overview", "#/overview?at=400", "document.querySelectorAll('.card').length === 1"},
	{"nodes", "#/nodes?at=300&group=topology.kubernetes.io%2Fzone", "document.querySelector('rc-grid').paint.length > 0"},
	{"cause", "#/nodes?at=400&color=cause", "document.querySelectorAll('.legend span').length > 1"},
	{"rollouts", "#/rollouts?at=500&rollout=kube-system%2Fnode-agent%232", "document.querySelectorAll('.gantt .span').length > 3 && document.querySelector('.legend')"},
	{"events", "#/events?at=450&event=330", "document.querySelectorAll('rc-log .row').length > 5 && document.querySelector('#event-detail h2')"},
	{"filtered", "#/events?at=450&type=node.*", "document.querySelectorAll('rc-log .row').length > 5"},
	{"objects", "#/object?at=400", "document.querySelectorAll('main li a').length > 0"},
	{"why", "#/object?at=400&of=ds%2Fkube-system%2Fnode-agent", "document.querySelectorAll('.chain li').length > 0"},
	{"why-not", "#/object?at=400&of=ds%2Fkube-system%2Fnode-agent&tab=why-not", "document.querySelector('.card')"},
	{"yaml", "#/object?at=400&of=node%2Fnode-0003&tab=yaml", "document.querySelector('pre').textContent.includes('kind') || document.querySelector('pre').textContent.includes('metadata')"},
	{"graph", "#/graph?event=330", "document.querySelectorAll('svg.graph .box').length > 1"},
	{"diff", "#/diff?at=400&mark=200", "document.querySelectorAll('.card').length > 0"},
	{"compare", "#/compare", "document.querySelectorAll('tbody tr').length > 5"},
	{"whatif", "#/whatif?set=kube-system%2Fnode-agent.maxUnavailable%3D50%25&asked=1", "document.querySelectorAll('.card').length > 0"},
	{"sources", "#/sources", "document.querySelector('.empty')"},
	{"health", "#/health?at=400", "document.querySelector('#state-hash').textContent.length === 64"},
}

// TestViews: every view is there, says so in its address alone, and complains of
// nothing.
func TestViews(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"zone-outage.rollcall")
	b := browse(t)
	b.enter(s)
	for _, v := range views {
		b.show(v.hash)
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
		b.like(v.name)
		b.clean(v.name)
	}
}

// TestKeys: all of it can be done with keys alone.
func TestKeys(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"clean-roll.rollcall")
	b := browse(t)
	b.enter(s)
	press := func(keys, then string) {
		t.Helper()
		b.run(chromedp.KeyEvent(keys))
		b.until(then)
		b.shown()
	}
	press("2", "location.hash.startsWith('#/nodes')")
	press(kb.Home, "location.hash.includes('at=1')")
	press("]", "document.body.dataset.mode === 'AT' && !/at=1(&|$)/.test(location.hash)")
	press("m", "location.hash.includes('mark=')")
	press(kb.End, "location.hash.includes('at=')")
	press("d", "location.hash.startsWith('#/diff')")
	press("4", "location.hash.startsWith('#/events')")
	press(kb.ArrowLeft, "location.hash.includes('at=')")
	b.run(chromedp.KeyEvent("?"))
	b.until("document.querySelector('#help').open")
	b.run(chromedp.KeyEvent(kb.Escape))
	b.until("!document.querySelector('#help').open")
	press("2", "location.hash.startsWith('#/nodes')")
	b.run(chromedp.Focus("rc-grid canvas"), chromedp.KeyEvent(kb.ArrowRight))
	press(kb.Enter, "location.hash.startsWith('#/object') && location.hash.includes('of=node')")
	b.clean("keys")
}

// TestCells: what the browser has made of the changes that it was given is, at fifty
// instants there and back, what the server has; and the hash that is shown is that
// of the command.
func TestCells(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"flapping-nodes.rollcall")
	b := browse(t)
	b.enter(s)
	wrong := eval[string](b, `(async () => {
		const { Stretch, hashOf } = await import("/lib/cells.js");
		const ds = "kube-system/node-agent", c = (await (await fetch("v1/info")).json()).coverage, bad = [];
		const s = new Stretch(c.first, c.last, await (await fetch("v1/deltas?ds=" + ds + "&from=" + c.first + "&at=" + c.last)).arrayBuffer());
		for (let i = 0, x = 7; i < 50; i++) {
			x = (x * 1103515245 + 12345) % 2147483648;
			const at = c.first + x % (c.last - c.first + 1);
			const r = await fetch("v1/state?format=bin&ds=" + ds + "&at=" + at), want = new Uint8Array(await r.arrayBuffer());
			const is = s.seek(at).slice(0, want.length);
			if (await hashOf(is) !== r.headers.get("Rollcall-Cells")) bad.push(at);
		}
		return bad.join();
	})()`)
	if wrong != "" {
		t.Errorf("the cells of the browser are others than those of the server at %s", wrong)
	}
	for _, at := range []int{1, 300, 514} {
		b.show(fmt.Sprintf("#/health?at=%d", at))
		b.until("document.querySelector('#state-hash')")
		want := command(t, "state", "--hash", "--at", fmt.Sprint(at), "--rec", recordings+"flapping-nodes.rollcall")
		if got := "sha256:" + eval[string](b, "document.querySelector('#state-hash').textContent"); !contains(want, got) {
			t.Errorf("at #%d the page shows %s, and the command %s", at, got, want)
		}
	}
	b.clean("cells")
}
