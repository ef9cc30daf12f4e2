package page

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// exportPage makes a page of a recording, as a file.
func exportPage(t *testing.T, recorded string) (path string) {
	t.Helper()
	if *binary == "" {
		t.Fatal("give the built binary with -rollcall")
	}
	program, err := filepath.Abs(*binary)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "incident.html")
	cmd := exec.Command(program, "record", "export", "--html", path, "--redact", "--rec", recorded)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=", "ROLLCALL_DATA=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestBundle opens a page from disk: every view is there, at the end and at another
// instant, the console says nothing, and nothing is asked of anybody.
func TestBundle(t *testing.T) {
	path := exportPage(t, filepath.Join("..", "recordings", "stuck-node.rollcall"))
	b := browse(t)
	b.run(network.Enable())
	var mu sync.Mutex
	var asked []string
	chromedp.ListenTarget(b.ctx, func(ev any) {
		if r, ok := ev.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(r.Request.URL, "blob:") && !strings.HasPrefix(r.Request.URL, "data:") {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.Request.URL)
		}
	})
	b.run(chromedp.Navigate("file://" + path))
	b.until("document.querySelector('main h1')")
	for _, hash := range []string{"#/overview", "#/nodes", "#/rollouts", "#/events", "#/events?event=190", "#/object?of=ds/kube-system/node-agent", "#/object?of=node/node-0014&tab=yaml", "#/object?of=node/node-0014&tab=life",
		"#/object?of=ds/kube-system/node-agent&tab=why-not&at=190", "#/graph?event=190", "#/diff?mark=1", "#/compare", "#/sources", "#/health", "#/overview?at=190", "#/nodes?at=190", "#/rollouts?at=190"} {
		b.show(hash)
		if eval[bool](b, "!!document.querySelector('main .problem')") {
			t.Errorf("%s: %s", hash, eval[string](b, "document.querySelector('main .problem').innerText"))
		}
		b.clean(hash)
	}
	b.show("#/nodes?at=190")
	b.shot("bundle-nodes")
	if text := eval[string](b, "document.querySelector('.legend').innerText"); !strings.Contains(text, "node lost 1") || !strings.Contains(text, "old revision 21") {
		t.Errorf("the nodes at #190 are %s", text)
	}
	// What the file has no answer to it says, and what has one.
	b.show("#/whatif?set=kube-system/node-agent.maxUnavailable=2&go=1")
	b.show("#/object?of=node/node-0001&at=7")
	if text := eval[string](b, "document.querySelector('main').innerText"); !strings.Contains(text, "E-UI-BUNDLE") || !strings.Contains(text, "save the recording") {
		t.Errorf("a node at #7: %s", text)
	}
	b.clean("what is not there")
	mu.Lock()
	defer mu.Unlock()
	for _, url := range asked {
		if strings.SplitN(url, "#", 2)[0] != "file://"+path {
			t.Errorf("it asked for %s", url)
		}
	}
}
