package page

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// dim finds text that is hard to read: it returns what has less contrast to what is
// behind it than WCAG's AA asks for, 4.5 and for large text 3.
const dim = `(() => {
	const rgb = (c) => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
	const light = (c) => { const f = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
	const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
	const behind = (el) => { const all = []; for (; el; el = el.parentElement) { const c = rgb(getComputedStyle(el).backgroundColor); all.push(c); if (c[3] === 1) break; } return all.reverse().reduce((b, c) => over(c, b), [255, 255, 255, 1]); };
	const bad = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n = walk.nextNode(); n; n = walk.nextNode()) {
		const el = n.parentElement, s = getComputedStyle(el), r = el.getBoundingClientRect();
		if (!n.textContent.trim() || !r.width || s.visibility === "hidden" || el.closest(".hidden, .skip, script, option")) continue;
		const ground = el.closest("svg") ? rgb(getComputedStyle(el.closest("a")?.querySelector("rect:last-of-type") ?? el.closest("svg")).fill) : behind(el);
		const text = over(rgb(el.closest("svg") ? s.fill : s.color), ground), a = light(text), b = light(ground);
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), px = parseFloat(s.fontSize), large = px >= 24 || px >= 18.66 && Number(s.fontWeight) >= 700;
		if (ratio < (large ? 3 : 4.5)) bad.add(ratio.toFixed(2) + " " + (el.className.baseVal ?? el.className ?? "") + " " + el.tagName + ": " + n.textContent.trim().slice(0, 30));
	}
	return [...bad].slice(0, 8).join("\n");
})()`

// TestContrast: all text of every view has the contrast of WCAG's AA, in light and in
// dark.
func TestContrast(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"zone-outage.rollcall")
	b := browse(t)
	b.enter(s)
	for _, scheme := range []string{"light", "dark"} {
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		b.until(fmt.Sprintf("matchMedia('(prefers-color-scheme: %s)').matches", scheme))
		for _, v := range views {
			b.show(v.hash("&at=400"))
			b.until(v.needs)
			if bad := eval[string](b, dim); bad != "" {
				t.Errorf("%s, %s: hard to read:\n%s", v.name, scheme, bad)
			}
			if scheme == "dark" {
				b.shot(v.name + "-dark")
			}
		}
		b.run(chromedp.KeyEvent("?"))
		b.until("document.querySelector('#help').open")
		if bad := eval[string](b, dim); bad != "" {
			t.Errorf("keys, %s: hard to read:\n%s", scheme, bad)
		}
		b.run(chromedp.KeyEvent(kb.Escape))
	}
	b.clean("light and dark")
}

// focused is what has the focus, and whether that can be seen.
const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e); return [e.closest("main") && e.id !== "main" ? "view" : e.tagName, e.id !== "main" && e.matches(":focus-visible") && (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 1) ? "unseen" : "seen", e.id || e.textContent.slice(0, 20)].join(" "); })()`

// TestTables: what a picture shows is in a table too, and each colour has a glyph.
func TestTables(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"zone-outage.rollcall")
	b := browse(t)
	b.enter(s)
	for hash, table := range map[string]string{
		"#/nodes?at=400":                               "#cells-table",
		"#/nodes?at=400&color=cause":                   "#cells-table",
		"#/graph?event=330":                            "#graph-table",
		"#/rollouts?at=400":                            "#causes-table",
		"#/rollouts?at=400&plan=1":                     "#plan-table",
		"#/whatif?from=300&asked=1":                    "#waves-0",
		"#/object?at=400&of=node%2Fnode-0003&tab=yaml": "pre",
	} {
		b.show(hash)
		b.until(fmt.Sprintf("document.querySelector('%s')", table))
		b.until(fmt.Sprintf("(() => { const e = document.querySelector('%s'); e.open = true; return e.tagName === 'PRE' || e.querySelectorAll('tbody tr').length > 0; })()", table))
	}
	b.run(chromedp.KeyEvent("b"))
	b.until("document.querySelector('#help').open && document.querySelectorAll('#help tbody tr').length > 3 && /✎/.test(document.querySelector('#help').textContent) && /✕/.test(document.querySelector('#help').textContent)")
	b.run(chromedp.KeyEvent(kb.Escape))
	b.show("#/rollouts?at=400")
	b.until("document.querySelector('#attribution')")
	sums := eval[string](b, `(() => { const rows = [...document.querySelectorAll("#attribution tbody td.n")].map((e) => Number(e.textContent)); return rows.reduce((a, n) => a + n, 0) + " " + document.querySelector("#attribution tfoot td.n").textContent + " " + document.querySelector("#attribution").previousSibling.textContent.match(/: (\d+) of/)[1]; })()`)
	if f := strings.Fields(sums); len(f) != 3 || f[0] != f[1] || f[1] != f[2] || f[0] == "0" {
		t.Errorf("the causes, their sum and what is missing are %s", sums)
	}
	b.show("#/nodes?at=400")
	b.until("[...document.querySelectorAll('.legend .swatch')].length > 2 && [...document.querySelectorAll('.legend .swatch')].every(e => e.textContent.trim())")
	b.clean("tables")
}

// TestCommands: what is copied from a view is a command that answers.
func TestCommands(t *testing.T) {
	rec, err := filepath.Abs(recordings + "zone-outage.rollcall")
	if err != nil {
		t.Fatal(err)
	}
	other, err := filepath.Abs(recordings + "clean-roll.rollcall")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs(*binary)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, "ui", "--rec", rec, "--beside", other)
	b := browse(t)
	b.enter(s)
	hashes := []string{"#/compare?beside=1", "#/object?at=400&of=ds%2Fkube-system%2Fnode-agent&tab=life"}
	for _, v := range views {
		hashes = append(hashes, v.hash("&at=400"), v.hash(""))
	}
	path := t.TempDir()
	if err := os.Symlink(bin, filepath.Join(path, "rollcall")); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, hash := range hashes {
		b.show(hash)
		line := eval[string](b, "document.querySelector('.command code')?.textContent ?? ''")
		if line == "" {
			continue // there is nothing to ask yet
		}
		n++
		c := exec.Command("sh", "-c", line)
		c.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "KUBECONFIG=", "ROLLCALL_DATA=")
		out, err := c.CombinedOutput()
		if err != nil && c.ProcessState.ExitCode() != 1 || len(out) == 0 || strings.Contains(string(out), "error: ") {
			t.Errorf("%s: %s: %v\n%s", hash, line, err, out)
		}
	}
	if n < 2*(len(views)-2) {
		t.Errorf("%d of %d views say a command", n, 2*len(views))
	}
	b.clean("commands")
}
