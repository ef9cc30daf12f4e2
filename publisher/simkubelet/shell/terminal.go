package shell

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/syntax"
)

// Keys that a terminal sends.
const (
	keyInterrupt = 3 // Ctrl-C
	keyEnd       = 4 // Ctrl-D
	keyClear     = 21
)

// typedBytes is how much may be typed ahead.
const typedBytes = 64 << 10

// terminal is a line of input that a person edits, and the discipline that a
// kernel has for commands: echo, lines, Ctrl-C.
type terminal struct {
	state *state

	mu        sync.Mutex
	typed     []byte
	more      chan struct{} // closed when there is more
	err       error
	interrupt context.CancelFunc // of the command that runs; nil: none does
}

// newTerminal reads what is typed from now on.
func newTerminal(in io.Reader, sh *state) *terminal {
	t := &terminal{state: sh, more: make(chan struct{})}
	go t.listen(in) // it ends with the session, whose streams are closed then
	return t
}

// listen keeps what is typed, and has Ctrl-C end the command that runs.
func (t *terminal) listen(in io.Reader) {
	buffer := make([]byte, 1024)
	for {
		n, err := in.Read(buffer)
		t.mu.Lock()
		for _, b := range buffer[:n] {
			switch {
			case b == keyInterrupt && t.interrupt != nil:
				t.interrupt()
			case b == keyInterrupt:
				t.typed = append(t.typed, keyClear, '\r') // begin a new line
			case len(t.typed) < typedBytes:
				t.typed = append(t.typed, b)
			}
		}
		t.err = err
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take returns what was typed, at most n bytes, when there is something.
func (t *terminal) take(ctx context.Context, n int) ([]byte, error) {
	for {
		t.mu.Lock()
		if len(t.typed) > 0 {
			b := t.typed[:min(n, len(t.typed))]
			t.typed = t.typed[len(b):]
			t.mu.Unlock()
			return b, nil
		}
		err, more := t.err, t.more
		t.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, io.EOF
		}
	}
}

// raw reads as it was typed, and writes as it is.
type raw struct {
	*terminal
	ctx context.Context
	out io.Writer
}

// Read implements io.Reader.
func (r raw) Read(b []byte) (int, error) {
	got, err := r.take(r.ctx, len(b))
	return copy(b, got), err
}

// Write implements io.Writer.
func (r raw) Write(b []byte) (int, error) { return r.out.Write(b) }

// cooked reads as a command on a terminal does: lines, echoed.
type cooked struct{ raw }

// Read implements io.Reader.
func (c cooked) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	got, err := c.take(c.ctx, 1)
	switch {
	case err != nil:
		return 0, err
	case got[0] == keyEnd:
		return 0, io.EOF
	case got[0] == '\r':
		b[0] = '\n'
	default:
		b[0] = got[0]
	}
	_, _ = c.out.Write(b[:1]) // an echo; crlf makes it a line
	return 1, nil
}

// crlf writes lines as a terminal shows them.
type crlf struct{ io.Writer }

// Write implements io.Writer.
func (w crlf) Write(b []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// command begins one, which Ctrl-C ends.
func (t *terminal) command() (context.Context, io.Reader) {
	ctx, stop := context.WithCancel(t.state.ctx)
	t.mu.Lock()
	t.interrupt = stop
	t.mu.Unlock()
	out := crlf{t.state.out}
	t.state.out, t.state.err = out, out
	return ctx, cooked{raw{t, ctx, out}}
}

// done ends it.
func (t *terminal) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.interrupt != nil {
		t.interrupt()
		t.interrupt = nil
	}
}

// interactive is a shell on a terminal, until it is left.
func (s *state) interactive() int {
	ctx, plain := s.ctx, s.out
	t := newTerminal(s.in, s)
	lines := &lineReader{editor: term.NewTerminal(raw{t, ctx, plain}, "")}
	fmt.Fprint(crlf{plain}, banner)
	for ctx.Err() == nil && !lines.ended {
		p := syntax.NewParser()
		lines.parser, lines.prompt = p, s.prompt()
		for stmts, err := range p.InteractiveSeq(lines) {
			if err != nil {
				if !lines.ended {
					s.last = codeUsage
					fmt.Fprintf(crlf{plain}, "sh: %v\n", err)
				}
				break
			}
			if p.Incomplete() {
				continue
			}
			s.ctx, s.in = t.command()
			s.list(stmts)
			interrupted := s.ctx.Err() != nil && ctx.Err() == nil
			t.done()
			s.ctx, s.out, s.err = ctx, plain, plain
			if s.flow == exits && !interrupted {
				return s.last
			}
			s.flow = on
			lines.prompt = s.prompt()
		}
	}
	return s.last
}

func (s *state) prompt() string {
	sign := "$ "
	if s.container.As.User == 0 {
		sign = "# "
	}
	return s.dir + " " + sign
}

// lineReader gives the parser one line after the other, as they are edited.
type lineReader struct {
	editor *term.Terminal
	prompt string
	parser *syntax.Parser
	rest   []byte
	ended  bool
}

// Read implements io.Reader.
func (r *lineReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		prompt := r.prompt
		if r.parser.Incomplete() {
			prompt = "> "
		}
		r.editor.SetPrompt(prompt)
		line, err := r.editor.ReadLine()
		if err != nil {
			r.ended = true
			return 0, io.EOF
		}
		r.rest = append([]byte(line), '\n')
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
