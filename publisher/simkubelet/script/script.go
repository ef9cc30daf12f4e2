// Package script plays what a container is told to run, in virtual time: how
// long it takes, how it ends and what it writes. It runs nothing: it
// understands sleeping, writing, ending and the shell around them, and takes
// every other command for work.
//
// The package is pure: the same command gives the same play.
package script

import (
	"bytes"
	"path"
	"strings"
	"time"
)

// Forever is the length of what does not end.
const Forever = time.Duration(1<<63 - 1)

// Program is what a container is told to run.
type Program struct {
	Args []string          // the command and its arguments
	Env  map[string]string // of the process
	As   Identity
	Work time.Duration // how long a command takes that is not understood; Forever is allowed
}

// Line is one line that a program writes.
type Line struct {
	At   time.Duration // after the start
	Text string
}

// Play is a program from its start until a moment.
type Play struct {
	Lines []Line
	Ended bool          // it ended by then
	After time.Duration // how long it ran, if it ended
	Code  int32         // its exit code, if it ended
	Next  time.Duration // when it writes next, if it has not ended; Forever if it does not
}

// Understood reports whether a program says by itself what it does: a program
// of which nothing is understood does what the image is for.
func Understood(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return known(path.Base(args[0]))
}

// Play runs a program that starts at start until it has run for so long.
func (p Program) Play(start time.Time, until time.Duration) Play {
	r := &run{program: p, start: start, until: until, vars: map[string]string{}, exported: map[string]bool{}, records: true, limit: maxSteps}
	return r.play()
}

// Outcome returns how long a program runs and how it ends. What does not end
// runs Forever.
func (p Program) Outcome() (after time.Duration, code int32) {
	r := &run{program: p, until: Forever - 1, vars: map[string]string{}, exported: map[string]bool{}, limit: planSteps}
	play := r.play()
	if !play.Ended {
		return Forever, 0
	}
	return play.After, play.Code
}

// Bounds of one play, so that a loop that waits for nothing has an end, and a
// chatty one fits in memory: the last lines are kept.
const (
	maxSteps  = 200_000
	planSteps = 5_000 // when nobody reads: a loop that goes on for longer has no end
	maxLines  = 5_000
	maxLine   = 16 << 10 // bytes; a runtime cuts lines so
	maxDepth  = 64
)

// run is a program under way.
type run struct {
	program Program
	start   time.Time
	until   time.Duration
	records bool // somebody reads the lines

	now      time.Duration
	steps    int
	limit    int // of steps
	depth    int
	vars     map[string]string
	exported map[string]bool // of those, what commands are given
	strict   bool            // set -e
	lenient  int             // inside a condition, where set -e does not count

	out     *bytes.Buffer // nil: the container's own output
	partial bytes.Buffer  // of a line that is not complete
	lines   []Line
	code    int32
	flow    flow
	levels  int // of break and continue that are left
	next    time.Duration
}

// flow is why the commands that follow are not run.
type flow int

const (
	on      flow = iota
	ended        // exit
	stopped      // the moment until which to play is past, or nothing more happens
	breaks
	continues
)

func (r *run) play() Play {
	r.next = Forever
	r.command(r.program.Args)
	p := Play{After: r.now, Code: r.code}
	if r.flow != stopped && r.now <= r.until {
		p.Ended = true
		r.newline()
	} else {
		p.Next = r.next
	}
	p.Lines = r.lines
	return p
}

// wait lets time pass.
func (r *run) wait(d time.Duration) {
	if d >= Forever-r.now || r.now+d > r.until {
		if d < Forever-r.now {
			r.next = r.now + d // whatever it writes is not before
		}
		r.flow = stopped
		return
	}
	r.now += max(d, 0)
}

// step counts what is done, and reports whether to go on.
func (r *run) step() bool {
	if r.steps++; r.steps > r.limit {
		r.flow = stopped
	}
	return r.flow == on
}

// write is output to where output goes now.
func (r *run) write(text string) {
	if r.out != nil {
		r.out.WriteString(text)
		return
	}
	if !r.records {
		return
	}
	for {
		line, rest, complete := strings.Cut(text, "\n")
		if r.partial.Len() < maxLine {
			r.partial.WriteString(line)
		}
		if !complete {
			return
		}
		r.add()
		text = rest
	}
}

func (r *run) add() {
	if len(r.lines) >= 2*maxLines {
		r.lines = append(r.lines[:0], r.lines[maxLines:]...)
	}
	r.lines = append(r.lines, Line{r.now, r.partial.String()})
	r.partial.Reset()
}

// newline ends a line that is not complete.
func (r *run) newline() {
	if r.partial.Len() > 0 {
		r.add()
	}
}
