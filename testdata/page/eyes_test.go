package page

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// cramped finds what does not fit: a page that is wider than its window, or a view of
// which next to nothing is to be seen between what stands above and below it.
const cramped = `(() => {
	const wide = document.documentElement.scrollWidth - innerWidth, main = document.querySelector("main"), r = main.getBoundingClientRect();
	const bar = document.querySelector("footer, rc-bar, #bar")?.getBoundingClientRect().top ?? innerHeight;
	const seen = Math.min(r.bottom, bar, innerHeight) - Math.max(r.top, 0);
	const cut = [...document.querySelectorAll("header a, header button")].filter((e) => { const b = e.getBoundingClientRect(); return b.width && (b.right > innerWidth + 1 || b.left < -1); });
	return [wide > 1 ? "the page is " + wide + " px wider than the window" : "", seen < 120 ? Math.round(seen) + " px of the view are seen" : "", ...cut.map((e) => "cut: " + e.textContent.trim())].filter(Boolean).join("; ");
})()`

// TestZoom: at 200 % of a window of 1360 by 900, which is one of half of that, every
// view fits into the width and is to be seen.
func TestZoom(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"zone-outage.rollcall")
	b := browse(t)
	b.enter(s)
	b.run(chromedp.EmulateViewport(680, 450, chromedp.EmulateScale(2)))
	for _, v := range views {
		b.show(v.hash("&at=400"))
		b.until(v.needs)
		if bad := eval[string](b, cramped); bad != "" {
			t.Errorf("%s: %s", v.name, bad)
			b.shot(v.name + "-zoomed")
		}
	}
	b.clean("200 %")
}

// TestStill: nothing moves by itself for somebody who wants less motion, and time is
// played all the same, since that is asked for.
func TestStill(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"zone-outage.rollcall")
	b := browse(t)
	b.enter(s)
	b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}))
	b.until("matchMedia('(prefers-reduced-motion: reduce)').matches")
	for _, v := range views {
		b.show(v.hash("&at=400"))
		b.until(v.needs)
		if n := eval[int](b, "document.getAnimations().length + [...document.querySelectorAll('*')].filter(e => getComputedStyle(e).scrollBehavior === 'smooth').length"); n != 0 {
			t.Errorf("%s: %d things move", v.name, n)
		}
	}
	b.show("#/nodes?at=400")
	b.run(chromedp.KeyEvent(" "))
	b.until("document.body.dataset.mode === 'REPLAY'")
	b.until("Number(/at=(\\d+)/.exec(location.hash)?.[1]) > 405")
	b.clean("less motion")
}
