package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server/healthz"

	"rollcall/events"
)

// Check is one thing that /readyz looks at besides the API itself.
type Check struct {
	Name string // of the check, as in /readyz?exclude=NAME
	// State returns an error if the instance is not ready because of it. A text
	// is told beside "ok".
	State func() (text string, err error)
}

// foldPatience is how long the fold may be behind the log before the API is
// not ready.
const foldPatience = 5 * time.Second

// checks are the checks of /livez, which are those of /healthz too, and of
// /readyz: whether the process lives is not a question of its log.
func (s *Server) checks() (live, ready []healthz.HealthChecker) {
	live = []healthz.HealthChecker{healthz.PingHealthz}
	ready = append(ready, live...)
	for _, c := range s.readiness() {
		ready = append(ready, healthz.NamedCheck(c.Name, func(*http.Request) error {
			_, err := c.State()
			return err
		}))
	}
	return live, ready
}

func (s *Server) readiness() []Check {
	own := []Check{{"bootstrap", s.bootstrapped}}
	if s.config.Log != nil {
		own = append(own, Check{"log", s.logHealth}, Check{"fold", s.foldHealth})
	}
	if s.config.Quarantined != nil {
		own = append(own, Check{"quarantine", s.quarantine})
	}
	return append(append(own, Check{"objects", s.objectsHealth}), s.config.Checks...)
}

// bootstrapped reports whether the cluster has what every cluster has.
func (s *Server) bootstrapped() (string, error) {
	select {
	case <-s.ready:
		return "", nil
	default:
		return "", errors.New("the cluster has not got its namespaces yet")
	}
}

func (s *Server) logHealth() (string, error) {
	if err := s.link.health(); err != nil {
		return "", err
	}
	return fmt.Sprintf("position %d", s.config.Objects.Position()), nil
}

// foldHealth reports whether what the API shows is what the log holds.
func (s *Server) foldHealth() (string, error) {
	behind, since := s.link.lag()
	if behind > 0 && since > foldPatience {
		return "", &events.Error{Code: "E-API-BEHIND", What: fmt.Sprintf("what is shown is %d events behind the log", behind),
			Where: fmt.Sprintf("position %d", s.config.Objects.Position()), Why: fmt.Sprintf("for %s", since.Round(time.Second))}
	}
	return fmt.Sprintf("%d events behind", behind), nil
}

// Quarantine is what the fold has set aside because it is no event that can be
// believed.
type Quarantine struct {
	Events int
	Last   events.Seq // position of the last of them
	Why    string     // that one is there
}

// quarantine tells what is in quarantine. It is no reason not to be ready: an
// instance that waits for its log to become another waits for ever.
func (s *Server) quarantine() (string, error) {
	q := s.config.Quarantined()
	if q.Events == 0 {
		return "nothing", nil
	}
	return fmt.Sprintf("%d events, the last at #%d: %s", q.Events, q.Last, q.Why), nil
}

// objectsHealth tells where the objects are that somebody has asked for and
// that cannot be read; their names are not for everybody. Like what is in
// quarantine they are no reason not to be ready.
func (s *Server) objectsHealth() (string, error) {
	var bad []string
	for _, r := range served {
		for _, key := range s.stores.met[r.name].under("", s.stores.tables[r.name]) {
			if i := s.stores.tables[r.name].At(key); i != nil {
				bad = append(bad, fmt.Sprintf("a %s at #%d", r.kind, i.Rev))
			}
		}
	}
	if len(bad) == 0 {
		return "all that were asked for can be read", nil
	}
	text := fmt.Sprintf("%d that cannot be read, left out of lists: %s", len(bad), strings.Join(bad[:min(len(bad), mostWarnings)], ", "))
	if len(bad) > mostWarnings {
		text += ", ..."
	}
	return text, nil
}

// healthPaths are those whose answers are explained.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// explained tells in the answer of a health path what each check has to say,
// where Kubernetes' own handler withholds it: to the admin all of it, to
// anybody else the code.
func (s *Server) explained(next http.Handler) http.Handler {
	checks := map[string]Check{}
	for _, c := range s.readiness() {
		checks[c.Name] = c
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(healthPaths, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		p := &plainAnswer{header: w.Header(), code: http.StatusOK}
		next.ServeHTTP(p, r)
		u, known := request.UserFrom(r.Context())
		known = known && u.GetName() != user.Anonymous
		w.Header().Del("Content-Length")
		w.WriteHeader(p.code)
		_, _ = w.Write(explain(p.body.Bytes(), checks, known)) // who does not take it has gone
	})
}

// explain completes the lines of checks.
func explain(body []byte, checks map[string]Check, known bool) []byte {
	lines := strings.SplitAfter(string(body), "\n")
	for i, line := range lines {
		name, failed := strings.CutSuffix(strings.TrimPrefix(line, "[-]"), " failed: reason withheld\n")
		if !failed {
			name = strings.TrimSuffix(strings.TrimPrefix(line, "[+]"), " ok\n")
		}
		c, ok := checks[name]
		if !ok {
			continue
		}
		text, err := c.State()
		switch {
		case failed && err != nil:
			lines[i] = fmt.Sprintf("[-]%s failed: %s\n", name, withheld(err, known))
		case !failed && err == nil && text != "":
			lines[i] = fmt.Sprintf("[+]%s ok: %s\n", name, oneLine(text))
		}
	}
	return []byte(strings.Join(lines, ""))
}

// withheld is why a check fails, as somebody may know it.
func withheld(err error, known bool) string {
	if known {
		return oneLine(err.Error())
	}
	var e *events.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "reason withheld"
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// plainAnswer keeps a small answer.
type plainAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (p *plainAnswer) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *plainAnswer) WriteHeader(code int) { p.code = code }

// Write implements http.ResponseWriter.
func (p *plainAnswer) Write(b []byte) (int, error) { return p.body.Write(b) }
