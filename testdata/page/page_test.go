package page

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const recordings = "../../testdata/recordings/"

var wide = flag.String("wide", "", "recordings of 1,000 and 100,000 nodes, which TestWide of controller/scenes makes: %d in the name is their nodes")

// view is a view of the page: the key that leads to it, what its address says besides,
// and when it is there; and how it is used with keys alone, and what then is so.
type view struct {
	name, path, key, query, needs string
	press                         []string
	then                          string
	again                         bool // the view was there with another address
}

// hash is the address of a view, which says more besides.
func (v view) hash(more string) string {
	return "#/" + v.path + "?" + strings.ReplaceAll(v.query, late, "200") + more
}

// late stands in an address for a position that is not far from the end of the log.
const late = "LATE"

// away are the keys that leave a view by the first link in it.
var away = []string{kb.Tab, kb.Tab, kb.Enter}

// copied is what is so when the command of a view was copied.
const copied = "/command is (copied|selected)/.test(document.querySelector('#said').textContent)"

// asked is a view whose question takes as long as its cluster is large: it is played.
const asked = "asked=1"

// views are the views of the page, over each log of the tests.
var views = []view{
	{"overview", "overview", "1", "", "document.querySelectorAll('.card').length === 1 && !document.querySelector('#rollouts').textContent.includes('read from the log')", away, "location.hash.startsWith('#/nodes')", false},
	{"nodes", "nodes", "2", "group=topology.kubernetes.io%2Fzone", "document.querySelector('rc-grid')?.paint.length > 0 && document.querySelector('rc-grid').cells.length === 4 * document.querySelector('rc-grid').names.length && document.querySelector('rc-grid').groups.length > 1",
		[]string{kb.Tab, kb.Tab, kb.Tab, kb.Tab, kb.Tab, kb.ArrowRight, kb.ArrowRight}, "document.querySelector('rc-grid').chosen >= 0 && !document.querySelector('rc-grid').tip.hidden", false},
	{"cause", "nodes", "2", "color=cause", "document.querySelectorAll('.legend span').length > 1 && document.querySelectorAll('rc-grid canvas').length === 1", []string{"/"}, "document.activeElement.tagName === 'SELECT'", true},
	{"rollouts", "rollouts", "3", "rollout=kube-system%2Fnode-agent%232", "document.querySelectorAll('.gantt .span').length > 3 && document.querySelector('.legend')", []string{kb.Tab, kb.Tab, kb.Enter}, "location.hash.startsWith('#/events')", false},
	{"events", "events", "4", "", "document.querySelectorAll('rc-log .row time').length > 5", []string{"c"}, copied, false},
	{"filtered", "events", "4", "type=node.*&event=330", "document.querySelectorAll('rc-log .row').length > 5 && document.querySelector('#event-detail h2')", []string{kb.Tab, kb.Tab, kb.Tab, " "}, "!location.hash.includes('type=node')", true},
	{"objects", "object", "5", "kind=Node", "document.querySelectorAll('main li a').length > 1", []string{"/"}, "document.activeElement.tagName === 'INPUT'", false},
	{"why", "object", "5", "of=ds%2Fkube-system%2Fnode-agent", "document.querySelectorAll('.chain li').length > 0", []string{kb.Tab, kb.Tab, kb.Enter}, "!location.hash.includes('of=')", true},
	{"why-not", "object", "5", "of=ds%2Fkube-system%2Fnode-agent&tab=why-not", "document.querySelector('.card')", []string{"c"}, copied, true},
	{"yaml", "object", "5", "of=node%2Fnode-0003&tab=yaml", "document.querySelector('pre').textContent.includes('metadata')", []string{"c"}, copied, true},
	{"graph", "graph", "6", "event=330", "document.querySelectorAll('svg.graph .box').length > 1", []string{"/"}, "document.activeElement.id === 'graph-event'", false},
	{"diff", "diff", "7", "mark=" + late, "document.querySelectorAll('.card').length > 0", []string{"c"}, copied, false},
	{"compare", "compare", "8", "", "document.querySelectorAll('tbody tr').length > 5", []string{"/"}, "document.activeElement.tagName === 'SELECT'", false},
	{"whatif", "whatif", "9", "set=kube-system%2Fnode-agent.maxUnavailable%3D50%25&" + asked, "document.querySelectorAll('.card').length > 0", []string{"/"}, "document.activeElement.id === 'whatif-set'", false},
	{"sources", "sources", "0", "", "document.querySelectorAll('#rates tbody tr').length > 2", []string{"c"}, copied, false},
	{"health", "health", "h", "", "document.querySelector('#state-hash').textContent.length === 64", []string{"c"}, copied, false},
}

// TestViews: every view over 1,000 and over 100,000 nodes: it is reached by its key,
// is there, has the same address when it is loaded again, can be used with keys, looks
// as it did, and complains of nothing.
func TestViews(t *testing.T) {
	if *wide == "" {
		t.Fatalf("give recordings of 1,000 and of 100,000 nodes with -wide FILE-%%d: go test ./controller/scenes -run TestWide -wide FILE-%%d -wide-nodes 1000,100000")
	}
	for _, nodes := range []int{1000, 100_000} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			s := serve(t, "ui", "--rec", fmt.Sprintf(*wide, nodes))
			b := browse(t)
			b.enter(s)
			b.until(fmt.Sprintf("document.querySelector('.card')?.textContent.replace(/,/g, '').includes('of %d available')", nodes))
			last := eval[int](b, `fetch("v1/info").then((r) => r.json()).then((a) => a.coverage.last)`)
			for _, v := range views {
				if nodes > 1000 && v.again {
					continue
				}
				v.query = strings.ReplaceAll(v.query, late, fmt.Sprint(last-200))
				if nodes > 1000 && strings.HasSuffix(v.query, asked) { // nobody waits for that to be played
					v.query, v.needs = "", "document.querySelector('#whatif-play')"
				}
				b.look(v, fmt.Sprint(nodes, "-", v.name))
			}
		})
	}
}

// look goes to a view and through what TestViews asks of it.
func (b *tab) look(v view, picture string) {
	b.t.Helper()
	bad := func() {
		if text := eval[string](b, "[...document.querySelectorAll('[role=alert]')].map(e => e.textContent).join()"); text != "" {
			b.t.Errorf("%s: %s", v.name, text)
		}
	}
	eval[bool](b, fmt.Sprintf("(document.querySelector('rc-bar').app.state = {view: '', ...Object.fromEntries(new URLSearchParams(%q))}, document.activeElement.blur(), true)", v.query))
	b.run(chromedp.KeyEvent(v.key))
	b.until("location.hash.startsWith('#/" + v.path + "')")
	b.shown()
	b.until(v.needs)
	bad()
	shown := eval[string](b, "location.hash")
	b.run(chromedp.Reload())
	b.until("document.querySelector('main h1')")
	b.shown()
	b.until(v.needs)
	bad()
	if again := eval[string](b, "location.hash"); again != shown {
		b.t.Errorf("%s: its address is %s, and %s when it is loaded again", v.name, shown, again)
	}
	b.like(picture)
	for _, keys := range [][]string{{kb.Tab, kb.Tab, kb.Tab, kb.Tab, kb.Tab}, v.press} {
		eval[bool](b, "(document.getElementById('main').focus(), true)")
		for _, key := range keys {
			b.run(chromedp.KeyEvent(key))
			if is := eval[string](b, focused); strings.Contains(is, "unseen") {
				b.t.Errorf("%s: nobody sees that the focus is on %s", v.name, is)
			}
		}
	}
	b.until(v.then)
	b.shown() // or what it reads of its address comes after what the next view is given
	b.clean(v.name)
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
