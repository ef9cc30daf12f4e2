package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var stuckNode = filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall")

// TestTopOnTerminal: on a terminal top is a picture that keys move, of the size that
// the terminal has; it is left with q, and with Ctrl-C.
func TestTopOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, c := range []struct{ noColor, leave string }{{"", "q"}, {"1", "\x03"}} {
		t.Setenv("NO_COLOR", c.noColor)
		user, program := pty(t)
		ended := make(chan int, 1)
		go func() {
			ended <- run(context.Background(), []string{"top", "--rec", stuckNode, "--at", "190"}, program, program, io.Discard)
		}()
		first := awaits(t, user, "? keys")
		if !strings.Contains(first, "AT demo  #190") || !strings.Contains(first, "elapsed ") {
			t.Errorf("%q", first)
		}
		if strings.Contains(first, "\x1b[32m") == (c.noColor != "") {
			t.Errorf("NO_COLOR=%q: %q", c.noColor, first)
		}
		for _, x := range [][2]string{{"\x1b[C", "available, or not wanted"}, {"\x1b[C", "revision "}, {"?", "these lines"}, {"x", "revision "}} {
			if _, err := user.WriteString(x[0]); err != nil {
				t.Fatal(err)
			}
			awaits(t, user, x[1])
		}
		if err := unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 8, Col: 30}); err != nil {
			t.Fatal(err)
		}
		awaits(t, user, "←→ wha…") // the last line, cut
		if _, err := user.WriteString(c.leave); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() { defer close(drained); _, _ = io.Copy(io.Discard, user) }()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d", code)
		}
		_ = program.Close()
		<-drained
	}
}

// TestTopLive: over an instance that runs the picture goes on with the log, by what is
// asked for, at every size of the terminal, which is left as it was.
func TestTopLive(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	up, err := startProcess(t.TempDir(), append(os.Environ(), "HOME="+t.TempDir()), "up", "--nodes", "12", "-f", "example:fluentd", "--data", data, "--durability", "relaxed", "--ui", "none")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.kill)
	if _, err := up.finds(`available 11/11`); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	for _, c := range []struct{ leave, node, then string }{{"q", "another", "13 nodes"}, {"\x03", "third", "14 nodes"}} {
		user, program := pty(t)
		was, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan int, 1)
		go func() {
			ended <- run(t.Context(), []string{"top", "ds/fluentd", "--data", data, "--group", "zone"}, program, program, io.Discard)
		}()
		if first := awaits(t, user, "? keys"); !strings.Contains(first, "LIVE local") || !strings.Contains(first, "by topology.kubernetes.io/zone") {
			t.Errorf("%q", first)
		}
		if code := run(t.Context(), []string{"node", "add", c.node, "--data", data}, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
			t.Fatalf("node add: exit code %d", code)
		}
		awaits(t, user, c.then)
		for _, size := range []unix.Winsize{{Row: 8, Col: 30}, {Row: 3, Col: 9}, {Row: 40, Col: 160}} {
			if err := unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &size); err != nil {
				t.Fatal(err)
			}
			awaits(t, user, map[uint16]string{30: "←→ wha…", 9: "LIVE lo…", 160: "? keys"}[size.Col])
		}
		if _, err := user.WriteString(c.leave); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() { defer close(drained); _, _ = io.Copy(io.Discard, user) }()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d", code)
		}
		if is, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS); err != nil || *is != *was {
			t.Errorf("the terminal is %+v, and was %+v: %v", is, was, err)
		}
		_ = program.Close()
		<-drained
	}
}

// TestTopOnce: a terminal that cannot be drawn on gets one picture, and so does who
// wants one.
func TestTopOnce(t *testing.T) {
	for _, c := range []struct {
		dumb string
		args []string
	}{{"dumb", nil}, {"xterm", []string{"--once"}}} {
		t.Setenv("TERM", c.dumb)
		user, program := pty(t)
		ended := make(chan int, 1)
		go func() {
			ended <- run(context.Background(), append([]string{"top", "--rec", stuckNode}, c.args...), program, program, io.Discard)
		}()
		if shown := awaits(t, user, "the log goes from #1 to #438"); !strings.HasPrefix(shown, "AT demo  #438") || strings.Contains(shown, "? keys") {
			t.Errorf("%q", shown)
		}
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestScreenDrawsChanges: what has not changed is not written again.
func TestScreenDrawsChanges(t *testing.T) {
	t.Setenv("TERM", "xterm")
	user, program := pty(t)
	s := &screen{out: newOutput(program, func(error) {})}
	for _, text := range []string{"one", "one", "two"} {
		s.draw(func(int, int) []string { return []string{text} })
	}
	if shown := awaits(t, user, "two"); strings.Count(shown, "one") != 1 {
		t.Errorf("%q", shown)
	}
}
