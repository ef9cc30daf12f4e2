package page

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"sync"

	"rollcall/events"
)

// policy is what a browser may load and run for the page: what the page itself
// serves, and nothing that stands in a document. Nobody may frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// door lets a browser in that has used the login link, and requests that it makes
// for the page itself. The link is good once: whoever finds it later in a history
// of commands, or of a browser, gets nothing.
type door struct {
	address string
	letsIn  func() // is told when a browser was let in
	hosts   []string
	cookie  string // its name has the port, since a browser keeps cookies by host

	mu      sync.Mutex
	login   string // of the link; empty: it was used
	session string
}

func newDoor(address string, letsIn func()) *door {
	d := &door{address: address, letsIn: letsIn, hosts: []string{address}, cookie: "rollcall", login: rand.Text(), session: rand.Text()}
	if _, port, err := net.SplitHostPort(address); err == nil {
		d.hosts = append(d.hosts, net.JoinHostPort("localhost", port))
		d.cookie += "-" + port
	}
	return d
}

func (d *door) link() string { return "http://" + d.address + "/login?token=" + d.login }

// enter reports whether a request is to be answered. One that is not has been.
func (d *door) enter(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if why := d.foreign(r); why != "" {
		d.refuse(w, why)
		return false
	}
	if r.URL.Path == "/login" {
		d.letIn(w, r)
		return false
	}
	c, err := r.Cookie(d.cookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(c.Value), []byte(d.session)) != 1 {
		d.refuse(w, "this browser has not used the login link")
		return false
	}
	return true
}

// actHeader is what the page puts on what it sends. A form of another page cannot,
// and a script of one has to ask first, and is not answered.
const actHeader = "Rollcall-Page"

// foreign says why a request is none of the page's own; empty: it is.
func (d *door) foreign(r *http.Request) string {
	site, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Dest")
	origin := r.Header.Get("Origin")
	switch {
	case !slices.Contains(d.hosts, r.Host):
		return "it is addressed to another host than " + d.address
	case origin != "" && origin != "http://"+r.Host:
		return "it comes from another page"
	case dest != "" && slices.Contains([]string{"iframe", "frame", "embed", "object", "fencedframe"}, dest):
		return "the page is not shown within another"
	case r.URL.Path == "/login" && r.Method == http.MethodGet:
		return "" // a link may be followed from anywhere
	case site != "" && site != "same-origin" && site != "none":
		return "it comes from another page"
	case r.Method != http.MethodGet && (origin == "" || r.Header.Get(actHeader) == "" || r.URL.Path != actPath):
		return "it does not come from the page"
	}
	return ""
}

// letIn gives a browser its session for the token of the link.
func (d *door) letIn(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	good := d.login != "" && r.Method == http.MethodGet && subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("token")), []byte(d.login)) == 1
	if good {
		d.login = ""
	}
	d.mu.Unlock()
	if c, err := r.Cookie(d.cookie); !good && err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(d.session)) == 1 {
		http.Redirect(w, r, "/", http.StatusSeeOther) // it is in already
		return
	}
	if !good {
		d.refuse(w, "the login link was used, or is not of this run")
		return
	}
	d.letsIn()
	http.SetCookie(w, &http.Cookie{Name: d.cookie, Value: d.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (d *door) refuse(w http.ResponseWriter, why string) {
	e := &events.Error{Code: "E-UI-REFUSED", What: "the request is refused", Why: why,
		Do: "open the link that was printed at the start; rollcall ui makes another", Exit: events.ExitInput}
	http.Error(w, e.Error(), http.StatusForbidden)
}
