package page

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// front brings a tab to the front: one that nobody sees asks for nothing.
func (b *tab) front() { b.run(page.BringToFront()) }

// another is one more tab of the same browser.
func (b *tab) another() *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	c := &tab{t: b.t, ctx: ctx}
	chromedp.ListenTarget(ctx, c.listen)
	c.run(log.Enable())
	return c
}

// TestTwoTabs: two tabs of one session stand each where it stands, over a cluster of
// few nodes and one of more; what is done in one is seen in the other, and what is
// pressed in one moves nothing there.
func TestTwoTabs(t *testing.T) {
	for _, nodes := range []int{17, 2500} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "d")
			s := serve(t, "up", "--nodes", fmt.Sprint(nodes), "-f", "example:fluentd", "--data", data, "--durability", "relaxed", "--pod-start", "0s")
			b := browse(t)
			b.enter(s)
			ready := fmt.Sprintf("document.querySelector('.card')?.textContent.replace(/,/g, '').includes('%d of %d available')", nodes-1, nodes-1)
			b.until(ready)
			c := b.another()
			c.run(chromedp.Navigate(s.origin() + "/#/nodes?ds=kube-system%2Ffluentd&at=60"))
			c.until("document.body.dataset.mode === 'AT'")
			b.front()
			if mode := eval[string](b, "document.body.dataset.mode"); mode != "LIVE" {
				t.Errorf("the other tab is %s", mode)
			}
			c.front()
			c.show("#/nodes?ds=kube-system%2Ffluentd")
			c.until(fmt.Sprintf("document.querySelector('rc-grid')?.names.length === %d && document.body.dataset.mode === 'LIVE'", nodes))
			b.front()
			b.run(chromedp.Click("#do-hold-kube-system-fluentd", chromedp.ByQuery))
			b.until("document.querySelector('#help').open && document.activeElement.id === 'reason'")
			b.run(chromedp.KeyEvent("wait for me\r"))
			b.until("document.querySelector('#do-lift-admin-page')")
			c.front()
			c.show("#/overview")
			c.until("document.querySelector('#do-lift-admin-page')")
			c.run(chromedp.Click("#do-lift-admin-page", chromedp.ByQuery))
			c.until("document.querySelector('#help').open && document.activeElement.id === 'reason'")
			c.run(chromedp.KeyEvent("go on\r"))
			c.until("!document.querySelector('#do-lift-admin-page')")
			b.front()
			b.until("!document.querySelector('#do-lift-admin-page')")
			c.front()
			c.show("#/nodes?ds=kube-system%2Ffluentd")
			command(t, "kubectl", "--data", data, "-n", "kube-system", "set", "image", "ds/fluentd", "fluentd=xianchao/fluentd:v2.5.2")
			const old = "[...document.querySelectorAll('.legend span')].some(e => e.textContent.includes('old revision'))"
			c.until(old)
			b.front()
			b.show("#/nodes?ds=kube-system%2Ffluentd")
			b.until(old)
			b.clean("the first tab")
			c.clean("the second tab")
		})
	}
}
