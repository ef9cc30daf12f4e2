package page

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignText: what others have written is text in every view, whatever it looks
// like; DaemonSets of one name in two namespaces are two; and a page that is
// hidden asks for nothing until it is seen again.
func TestForeignText(t *testing.T) {
	const mischief = `<script>window.owned=1</script><img src=x onerror=window.owned=1>`
	var docs []string
	name := strings.Repeat("a", 60) + strings.Repeat("."+strings.Repeat("b", 62), 3) + "." + strings.Repeat("c", 3) // of 253 characters
	for _, ns := range []string{"one", "two"} {
		docs = append(docs, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+ns+"}\n")
		for _, n := range []string{"agent", name} {
			docs = append(docs, fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %s, namespace: %s, annotations: {note: %q, kubernetes.io/change-cause: %q}}
spec:
  selector: {matchLabels: {of: %s}}
  template:
    metadata: {labels: {of: %s}, annotations: {note: %q}}
    spec:
      containers: [{name: main, image: %q, env: [{name: A, value: %q}]}]
`, n, ns, mischief, "grüße ☃ "+mischief, n[:5], n[:5], mischief, "agent:"+mischief, "ümlaut "+mischief))
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "m.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(docs, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "d")
	s := serve(t, "up", "--nodes", "3", "-f", file, "--data", data, "--durability", "relaxed")
	b := browse(t)
	b.enter(s)
	b.until("document.querySelectorAll('.card').length === 4")
	command(t, "kubectl", "--data", data, "annotate", "node/node-0001", "note="+mischief)
	object := url.QueryEscape("ds/one/agent")
	for _, hash := range []string{"overview", "nodes?ds=two/agent", "rollouts?ds=one/agent", "events", "object?of=" + object, "object?of=" + object + "&tab=why", "object?of=" + object + "&tab=why-not", "object?of=node/node-0001",
		"graph?event=20", "diff?mark=5", "compare", "whatif", "sources", "health", "nodes?ds=two/" + name, "object?of=" + url.QueryEscape("ds/two/"+name)} {
		b.show("#/" + hash)
		b.clean(hash)
		if eval[bool](b, "!!window.owned || !!document.querySelector('main script, main img')") {
			t.Errorf("%s takes text for elements", hash)
		}
		if eval[bool](b, "document.documentElement.scrollWidth > innerWidth + 1") {
			t.Errorf("%s is wider than its window", hash)
		}
	}
	b.show("#/object?of=" + object)
	if !eval[bool](b, "document.querySelector('main').textContent.includes('<script>window.owned=1</script>')") {
		t.Error("the text is not shown")
	}
	b.show("#/overview")
	eval[bool](b, `(() => { Object.defineProperty(document, "hidden", {value: true, configurable: true}); window.asked_ = 0; const f = window.fetch; window.fetch = (...a) => { window.asked_++; return f(...a); }; return true; })()`)
	at := eval[int](b, "document.querySelector('rc-bar').app.seq")
	command(t, "kubectl", "--data", data, "annotate", "node/node-0001", "more=1")
	b.until(fmt.Sprintf("((a) => a.seq > %d && a.missed)(document.querySelector('rc-bar').app)", at))
	if n := eval[int](b, "window.asked_"); n != 0 {
		t.Errorf("a page that nobody sees has asked %d times", n)
	}
	eval[bool](b, `(() => { delete document.hidden; document.dispatchEvent(new Event("visibilitychange")); return true; })()`)
	b.until("window.asked_ > 0 && !document.querySelector('rc-bar').app.missed")
	b.clean("a page that was hidden")
}
