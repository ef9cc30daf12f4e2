package page

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(*binary, args...).Output()
	if err != nil {
		t.Fatalf("rollcall %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func contains(text, part string) bool { return strings.Contains(text, part) }

// TestDoor: without the session, from another page, under another name or in a frame
// there is nothing; and the link lets in once.
func TestDoor(t *testing.T) {
	s := serve(t, "ui", "--rec", recordings+"clean-roll.rollcall")
	c := outsider()
	get := func(path string, change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, s.origin()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	for _, path := range []string{"/", "/app.js", "/v1/info", "/v1/stream", "/login?token=wrong"} {
		if code, body := get(path, nil); code != http.StatusForbidden {
			t.Errorf("%s without a session: %d %s", path, code, body)
		}
	}
	b := browse(t)
	b.enter(s)
	if code, _ := get(s.link[len(s.origin()):], nil); code != http.StatusForbidden {
		t.Errorf("the link lets in twice: %d", code)
	}
	b.clean("entering")

	// A page of another origin gets nothing, with the cookie of the browser or without.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>other</title><iframe src="`+s.origin()+`/"></iframe>`)
	}))
	defer other.Close()
	b.run(chromedp.Navigate(other.URL))
	b.until("document.querySelector('iframe')")
	if got := eval[string](b, `fetch("`+s.origin()+`/v1/info", {credentials: "include"}).then(r => "read " + r.status, () => "refused")`); got != "refused" {
		t.Errorf("another page has %s", got)
	}
	if inside := eval[bool](b, "(() => { try { return !!frames[0].document.querySelector('header'); } catch { return false; } })()"); inside {
		t.Error("the page is shown in a frame")
	}
	for name, change := range map[string]func(*http.Request){
		"another origin": func(r *http.Request) { r.Header.Set("Origin", other.URL) },
		"another host":   func(r *http.Request) { r.Host = "example.com" },
		"a frame":        func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "iframe") },
	} {
		if code, body := get("/login?token=x", change); code != http.StatusForbidden || !strings.Contains(body, "E-UI-REFUSED") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}
