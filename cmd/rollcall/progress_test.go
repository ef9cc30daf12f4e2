package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns a terminal, and what reads what is written to it.
func openTerminal(t *testing.T) (tty, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60}); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return tty, screen
}

// TestProgressOnTerminal: on a terminal a line says how far it is, in its width, is
// drawn anew in its place, and is gone at the end.
func TestProgressOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	tty, screen := openTerminal(t)
	s := &session{err: tty, out: newOutput(new(bytes.Buffer), func(error) {})}
	(&session{err: tty}).Progress("quick", nil)() // nothing is drawn of it
	r := (&archive{session: s}).counting("reading the log", 0)
	r.read.Store(500)
	r.at.Store(250)
	r.last.Store(1000)
	var drawn bytes.Buffer
	read := func(until string) {
		t.Helper()
		b := make([]byte, 4096)
		for deadline := time.Now().Add(patience); !strings.Contains(drawn.String(), until); {
			n, err := screen.Read(b)
			if drawn.Write(b[:n]); err != nil || time.Now().After(deadline) {
				t.Fatalf("%v: %q", err, drawn.String())
			}
		}
	}
	read("25 %")
	r.at.Store(990)
	read("99 %")
	r.done()
	fmt.Fprint(tty, "end")
	read("end")
	text := drawn.String()
	if !strings.HasPrefix(text, clearLine+"reading the log: 500 events, at #250 of #1000, 25 %, ") || !strings.HasSuffix(text, clearLine+"end") || strings.Contains(text, "\n") {
		t.Errorf("drawn: %q", text)
	}
	for _, line := range strings.Split(text, clearLine) {
		if len(line) >= 60 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
}
