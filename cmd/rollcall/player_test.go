package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rollcall/controller/player"
)

func TestPressed(t *testing.T) {
	for in, want := range map[string][]player.Key{
		"a q":                   {"a", " ", "q"},
		"\x1b[D\x1b[C\x1b[1;2D": {player.Left, player.Right, player.PlanLeft},
		"\x1b":                  {player.Escape},
		"ä\r\x7f\x03":           {"ä", player.Enter, player.Backspace, player.Interrupt},
		"\x1b[15~x":             {"x"},
		"\x00\x01":              nil,
	} {
		if got := pressedOf([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// pty returns both ends of a terminal of 100 columns and 30 lines.
func pty(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(user.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close(); _ = user.Close() })
	return user, program
}

// awaits reads from a terminal until it has shown a text.
func awaits(t *testing.T, from io.Reader, text string) (shown string) {
	t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(shown, text) {
		n, err := from.Read(buf)
		if err != nil {
			t.Fatalf("%v, after %q; want %q", err, shown, text)
		}
		shown += string(buf[:n])
	}
	return shown
}

// TestPlayerOnTerminal: on a terminal a replay is a player that keys move; it is
// left with q, and with Ctrl-C, and the terminal is as it was.
func TestPlayerOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	rec := filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall")
	for _, c := range []struct{ noColor, leave string }{{"", "q"}, {"1", "\x03"}} {
		t.Setenv("NO_COLOR", c.noColor)
		user, program := pty(t)
		was, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan int, 1)
		var errs bytes.Buffer
		go func() { ended <- run(context.Background(), []string{"replay", "--rec", rec}, program, program, &errs) }()
		first := awaits(t, user, "#1 of #1 to #438")
		if strings.Contains(first, "\x1b[7m") == (c.noColor != "") {
			t.Errorf("NO_COLOR=%q: %q", c.noColor, first)
		}
		for _, x := range [][2]string{{"g190\r", "#190 of #1"}, {"\x1b[C", "#191 of #1"}, {"\x1b[1;2D", "#190 of #1"}, {"w", "the chain is complete"}, {"x", "held back: 21 budget"}, {" ", "playing by event"}} {
			if _, err := user.WriteString(x[0]); err != nil {
				t.Fatal(err)
			}
			awaits(t, user, x[1])
		}
		if _, err := user.WriteString(c.leave); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() { defer close(drained); _, _ = io.Copy(io.Discard, user) }()
		if code := <-ended; code != 0 || errs.Len() > 0 {
			t.Errorf("exit code %d: %s", code, &errs)
		}
		if is, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS); err != nil || *is != *was {
			t.Errorf("the terminal is not as it was: %v", err)
		}
		_ = program.Close()
		<-drained
	}
}

// TestPlayerUntil: with --until the player begins where the expression is true.
func TestPlayerUntil(t *testing.T) {
	t.Setenv("TERM", "xterm")
	rec := filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall")
	for _, c := range []struct {
		until, shows, press string
		code                int
	}{
		{"event.seq >= 190", "#190 of #1 to #438", "q", 0},
		{"event.seq > 9999", "0 events replayed", "", 1},
	} {
		user, program := pty(t)
		ended := make(chan int, 1)
		go func() {
			ended <- run(context.Background(), []string{"replay", "--rec", rec, "--until", c.until}, program, program, io.Discard)
		}()
		awaits(t, user, c.shows)
		if _, err := user.WriteString(c.press); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() { defer close(drained); _, _ = io.Copy(io.Discard, user) }()
		if code := <-ended; code != c.code {
			t.Errorf("%s: exit code %d", c.until, code)
		}
		_ = program.Close()
		<-drained
	}
}

// TestReplayOnDumbTerminal: a terminal that cannot be drawn on gets lines.
func TestReplayOnDumbTerminal(t *testing.T) {
	t.Setenv("TERM", "dumb")
	user, program := pty(t)
	rec := filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall")
	ended := make(chan int, 1)
	go func() {
		ended <- run(context.Background(), []string{"replay", "--rec", rec, "--to", "3"}, program, program, io.Discard)
	}()
	if shown := awaits(t, user, "3 events replayed"); !strings.HasPrefix(shown, "replay #1 ") || strings.Contains(shown, "\x1b") {
		t.Errorf("%q", shown)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
