package page

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestActions: a rollout is paused, resumed and undone on the page, and held and let
// go, each with a reason that stands in the log, and what it brings about is told
// before; nothing is offered in the past; and
// who has no session, or is another page, does nothing.
func TestActions(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	s := serve(t, "up", "--nodes", "20", "-f", "example:fluentd", "--data", data, "--durability", "relaxed")
	b := browse(t)
	b.enter(s)
	b.until("document.querySelector('#do-pause-kube-system-fluentd') && document.querySelector('.card').textContent.includes('19 of 19 available')")
	command(t, "kubectl", "--data", data, "-n", "kube-system", "set", "image", "ds/fluentd", "fluentd=xianchao/fluentd:v2.5.2")
	do := func(button, preview, reason, then string) {
		t.Helper()
		b.until(fmt.Sprintf("document.querySelector('%s')", button))
		b.run(chromedp.Click(button, chromedp.ByQuery))
		b.until("document.querySelector('#help').open && document.activeElement.id === 'reason'")
		if preview != "" {
			b.until(fmt.Sprintf("document.querySelector('#preview')?.textContent.includes(%q)", preview))
		}
		b.run(chromedp.KeyEvent(reason + "\r"))
		b.until("!document.querySelector('#help').open")
		b.until(then)
	}
	do("#do-pause-kube-system-fluentd", "another pod", "a look first", "document.querySelector('.card h3').textContent.includes('paused')")
	b.shot("paused")
	do("#do-resume-kube-system-fluentd", "another pod", "it is good", "!document.querySelector('.card h3').textContent.includes('paused')")
	do("#do-hold-kube-system-fluentd", "", "freeze", "document.querySelector('#do-lift-admin-page')")
	do("#do-lift-admin-page", "", "thawed", "!document.querySelector('#do-lift-admin-page')")
	do("#do-undo-kube-system-fluentd", "v2.5.2 → xianchao/fluentd:v2.5.1", "it is bad", "document.querySelector('.card').textContent.includes('v2.5.1')")
	log := command(t, "log", "--data", data)
	for _, part := range []string{"annotation rollcall/paused=true", "annotation -rollcall/paused", "image v2.5.2→v2.5.1", "freeze", "hold.lifted", "a look first", "it is bad"} {
		if !contains(log, part) {
			t.Errorf("the log does not tell of %q:\n%s", part, log)
		}
	}
	b.show("#/overview?at=60")
	if n := eval[int](b, "document.querySelectorAll('[id^=do-]').length"); n != 0 {
		t.Errorf("%d actions are offered in the past", n)
	}
	b.clean("actions")

	body := `{"do":"pause","ds":"kube-system/fluentd","reason":"mischief"}`
	r, err := http.NewRequest(http.MethodPost, s.origin()+"/v1/act", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", s.origin())
	r.Header.Set("Rollcall-Page", "1")
	res, err := outsider().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("without a session: %s", res.Status)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	b.run(chromedp.Navigate(other.URL))
	for _, with := range []string{`{}`, `{"Rollcall-Page": "1", "Content-Type": "application/json"}`} {
		said := eval[string](b, fmt.Sprintf(`fetch(%q, {method: "POST", mode: "no-cors", credentials: "include", headers: %s, body: %q}).then(r => r.type, () => "refused")`, s.origin()+"/v1/act", with, body))
		if said != "refused" && said != "opaque" {
			t.Errorf("another page is answered: %s", said)
		}
	}
	if is := command(t, "log", "--data", data); contains(is, "mischief") {
		t.Errorf("another page has done something:\n%s", is)
	}
}
