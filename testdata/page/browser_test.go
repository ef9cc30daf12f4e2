// Package page drives the page of rollcall in a real browser: Debian's chromium, by
// the DevTools protocol. It fails where there is no browser: a page that nobody has
// looked at is not tested.
package page

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var (
	binary = flag.String("rollcall", "", "the built binary")
	shots  = flag.String("shots", "", "directory for screenshots; empty: a temporary one")
	many   = flag.Int("nodes", 1000, "nodes of the cluster whose page is looked at")
)

// patience bounds waiting for anything: it only guards against hanging.
const patience = 3 * time.Minute

// server is a command that serves a page.
type server struct {
	t    *testing.T
	link string
	pid  int
	stop func()
	mu   sync.Mutex
	said []string
	more *sync.Cond // there is another line, or none will come
	over bool
}

var linkLine = regexp.MustCompile(`http://127\.0\.0\.1:\d+/login\?token=\w+`)

// start runs rollcall until the test ends, or stop.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	if *binary == "" {
		t.Fatal("give the built binary with -rollcall")
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=", "ROLLCALL_DATA=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s, ended := &server{t: t, pid: cmd.Process.Pid}, make(chan struct{})
	s.more = sync.NewCond(&s.mu)
	go func() {
		defer func() {
			s.end()
			close(ended)
		}()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.mu.Lock()
			s.said = append(s.said, lines.Text())
			s.more.Broadcast()
			s.mu.Unlock()
		}
	}()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		_ = cmd.Wait()
	})
	t.Cleanup(s.stop)
	return s
}

// serve is start, and returns when rollcall has said where its page is.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := start(t, args...)
	s.until("/login?token=")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link = linkLine.FindString(strings.Join(s.said, "\n")); s.link == "" {
		t.Fatalf("rollcall %s says no link: %s", strings.Join(args, " "), strings.Join(s.said, "\n"))
	}
	return s
}

// end notes that the command says no more.
func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.more.Broadcast()
}

// until waits for the command to say something.
func (s *server) until(words string) {
	s.t.Helper()
	defer time.AfterFunc(patience, s.end).Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !strings.Contains(strings.Join(s.said, "\n"), words) {
		if s.over {
			s.t.Fatalf("it never said %s: %s", words, strings.Join(s.said, "\n"))
		}
		s.more.Wait()
	}
}

// origin is the address of the page.
func (s *server) origin() string { return s.link[:strings.Index(s.link, "/login")] }

// tab is a page in a browser, which has complained of nothing.
type tab struct {
	t   *testing.T
	ctx context.Context
	mu  sync.Mutex
	bad []string // what the console said
}

// browse opens a browser.
func browse(t *testing.T) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: apt-get install -y chromium")
	}
	opts := append([]chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1360, 900),
		chromedp.WSURLReadTimeout(patience)},
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {})) // of events that it does not know
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it is asked to close: one that is killed leaves children that write to its directory yet
		stop()
	})
	b := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.listen)
	b.run(log.Enable())
	return b
}

// listen notes what the console is told of errors.
func (b *tab) listen(ev any) {
	text := ""
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		text = ev.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.APITypeError {
			text = fmt.Sprint(ev.Args)
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.LevelError {
			text = ev.Entry.Text + " " + ev.Entry.URL
		}
	}
	if text != "" {
		b.mu.Lock()
		b.bad = append(b.bad, text)
		b.mu.Unlock()
	}
}

// clean fails if the console was told of an error.
func (b *tab) clean(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bad) > 0 {
		b.t.Errorf("%s: the console says %s", where, strings.Join(b.bad, "\n"))
	}
	b.bad = nil
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[T any](b *tab, expression string) (v T) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, chromedp.Evaluate(expression, &v, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) })); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true. The page looks now and then, and not
// before every frame: with that it would draw all the time.
func (b *tab) until(expression string) {
	b.t.Helper()
	met := false
	err := chromedp.Run(b.ctx, chromedp.Poll("!!("+expression+")", &met, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(50*time.Millisecond)))
	if err != nil || !met {
		b.t.Fatalf("it never was so: %s: %v\n%s", expression, err, eval[string](b, "location.href + ' ' + document.body.innerText.slice(0, 600)"))
	}
}

// enter follows the login link.
func (b *tab) enter(s *server) {
	b.t.Helper()
	b.run(chromedp.Navigate(s.link))
	b.until("document.querySelector('main h1')")
}

// show goes to a view, and returns when it is there.
func (b *tab) show(hash string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf("(location.hash = %q, true)", hash))
	b.shown()
}

func (b *tab) shown() {
	b.t.Helper()
	b.until("document.querySelector('main').dataset.shown === location.hash && !document.querySelector('main').hasAttribute('aria-busy')")
}

// shot keeps a picture, and returns it.
func (b *tab) shot(name string) []byte {
	b.t.Helper()
	dir := *shots
	if dir == "" {
		dir = b.t.TempDir()
	}
	var png []byte
	b.run(chromedp.CaptureScreenshot(&png))
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)); err != nil {
		b.t.Fatal(err)
	}
	return png
}

// outsider is a client that is no browser.
func outsider() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
