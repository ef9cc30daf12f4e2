package page

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

var (
	large = flag.String("large", "", "recording, or stopped data directory, over which the budgets of the page are measured")
	pages = flag.Int("pages", 20, "pages that are open at once, of TestManyPages")
)

// TestLarge measures the page over a large log: how long the first view takes, each
// view, and the grid while the bar is dragged over all of it. It tells and judges
// only what no other party of the machine moves: that nothing complains.
func TestLarge(t *testing.T) {
	if *large == "" {
		t.Skip("give a recording or a directory with -large")
	}
	args := []string{"ui", "--data", *large}
	if strings.HasSuffix(*large, ".rollcall") {
		args = []string{"ui", "--rec", *large}
	}
	s := serve(t, args...)
	b := browse(t)
	began, before := time.Now(), cpu(t, s.pid)
	b.run(chromedp.Navigate(s.link))
	b.until("document.querySelector('main h1') && document.querySelector('.card')")
	t.Logf("first view: %s from the link to the cards, and %s of processor time of the server up to there", time.Since(began).Round(time.Millisecond), cpu(t, s.pid)-before)
	last := eval[int](b, `fetch("v1/info").then((r) => r.json()).then((a) => a.coverage.last)`)
	ds := eval[string](b, `fetch("v1/overview").then((r) => r.json()).then((a) => a.items[0].daemonSets[0].daemonSet.slice(3))`)
	b.show("#/nodes")
	drag(b, 300)
	sorted := "[...document.querySelector('rc-grid').paint].sort((a, b) => a - b)"
	t.Logf("grid of %d nodes: %d repaints, median %.1f ms, p95 %.1f ms; frames of the page while it was dragged: median %.1f ms, p95 %.1f ms", eval[int](b, "document.querySelector('rc-grid').names.length"), eval[int](b, sorted+".length"),
		eval[float64](b, "((p) => p[p.length >> 1])("+sorted+")"), eval[float64](b, "((p) => p[Math.floor(0.95 * p.length)])("+sorted+")"),
		eval[float64](b, "((p) => p[p.length >> 1])(window.frames_.sort((a, b) => a - b))"), eval[float64](b, "((p) => p[Math.floor(0.95 * p.length)])(window.frames_)"))
	b.clean("the bar is dragged")
	for _, hash := range []string{"nodes", "nodes?at=%d", "nodes?group=topology.kubernetes.io/zone", "overview?at=%d", "rollouts", "events?event=%d", "object", "object?of=ds/" + ds, "graph?event=%d", "diff?at=%d&mark=" + strconv.Itoa(last/2-100), "compare", "whatif", "sources", "health"} {
		if strings.Contains(hash, "%d") {
			hash = fmt.Sprintf(hash, last/2)
		}
		began := time.Now()
		b.show("#/" + hash)
		t.Logf("%-50s %s", hash, time.Since(began).Round(time.Millisecond))
		b.clean(hash)
	}
}

// drag takes the head of the bar over all of the log and back.
func drag(b *tab, steps int) {
	b.t.Helper()
	eval[bool](b, `(() => { window.frames_ = []; const g = document.querySelector("rc-grid"); g.paint = []; const a = g.closest("main") && document.querySelector("rc-bar").app, f = a.frame.bind(a); a.frame = () => { const t = performance.now(); f(); window.frames_.push(performance.now() - t); }; return true; })()`)
	box := eval[[]float64](b, `(() => { const r = document.querySelector("rc-bar canvas").getBoundingClientRect(); return [r.left, r.top + r.height / 2, r.width]; })()`)
	at := func(kind input.MouseType, i int) chromedp.Action {
		x := float64(i) / float64(steps)
		if x > 0.5 {
			x = 1 - x
		}
		return input.DispatchMouseEvent(kind, box[0]+1+2*x*(box[2]-2), box[1]).WithButton(input.Left)
	}
	b.run(at(input.MousePressed, 0).(*input.DispatchMouseEventParams).WithClickCount(1))
	for i := range steps {
		b.run(at(input.MouseMoved, i))
	}
	b.run(at(input.MouseReleased, steps))
	b.shown()
}

// TestManyPages measures what many open pages take of an instance that rolls out.
func TestManyPages(t *testing.T) {
	if *large == "" {
		t.Skip("give -large")
	}
	data := t.TempDir() + "/d"
	s := serve(t, "up", "--nodes", fmt.Sprint(*many), "-f", "example:fluentd", "--data", data, "--durability", "relaxed")
	b := browse(t)
	b.enter(s)
	b.until(fmt.Sprintf("document.querySelector('.card')?.textContent.replace(/,/g, '').includes('%d of %d available')", *many-1, *many-1))
	took := func(what string, d time.Duration) float64 {
		before, began := cpu(t, s.pid), time.Now()
		time.Sleep(d) // what is measured is what happens meanwhile
		share := (cpu(t, s.pid) - before).Seconds() / time.Since(began).Seconds()
		t.Logf("%s: %.1f %% of a core", what, 100*share)
		return share
	}
	roll := func(image string) time.Duration {
		began := time.Now()
		command(t, "kubectl", "--data", data, "-n", "kube-system", "set", "image", "ds/fluentd", "fluentd="+image)
		command(t, "rollout", "status", "ds/fluentd", "-n", "kube-system", "-w", "--data", data)
		return time.Since(began)
	}
	command(t, "kubectl", "--data", data, "-n", "kube-system", "patch", "ds/fluentd", "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"5%"}}}}`)
	b.run(chromedp.Navigate("about:blank"))
	took("nobody looks, nothing happens", 10*time.Second)
	before := cpu(t, s.pid)
	alone := roll("xianchao/fluentd:v2.5.2")
	work := cpu(t, s.pid) - before
	b.run(chromedp.Navigate(s.origin()))
	eval[bool](b, fmt.Sprintf("(() => { for (let i = 0; i < %d; i++) window.open('/#/' + ['overview', 'nodes', 'rollouts', 'events'][i %% 4]); return true; })()", *pages-1))
	time.Sleep(10 * time.Second) // they load
	took(fmt.Sprintf("%d pages look, nothing happens", *pages), 10*time.Second)
	before = cpu(t, s.pid)
	watched := roll("xianchao/fluentd:v2.5.1")
	more := cpu(t, s.pid) - before
	t.Logf("a rollout of %d nodes takes %s and %s of processor time, with %d pages %s and %s: %.1f %% of a core more", *many, alone.Round(time.Millisecond), work, *pages, watched.Round(time.Millisecond), more, 100*((more.Seconds()/watched.Seconds())-(work.Seconds()/alone.Seconds())))
}

// cpu is the processor time that a process has taken.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
