package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"rollcall/controller/player"
	"rollcall/controller/replay"
	"rollcall/events"
)

// Times of the player.
const (
	playerTick = 50 * time.Millisecond // between two looks
	keyWait    = 100                   // milliseconds after which the reader of keys looks whether it is still wanted
)

// desk answers what a player is asked.
type desk struct{ x *asked }

// Tell implements player.Desk.
func (desk) Tell(f *replay.Frame) []string {
	lines := []string{"event     " + stepText(f.Step)}
	for i, c := range f.Fields {
		if i == maxChanged {
			lines = append(lines, fmt.Sprintf("          and %d more fields", len(f.Fields)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("          %s: %s → %s", c.Path, valueText(c.Old), valueText(c.New)))
	}
	for _, c := range f.Counts {
		lines = append(lines, "counts    "+recountText(c))
	}
	for _, text := range strings.Split(decisionText(f), "  |  ") {
		lines = append(lines, "decision  "+text)
	}
	return lines
}

// Find implements player.Desk.
func (d desk) Find(ctx context.Context, instant string) (events.Seq, error) {
	at, err := replay.ParseInstant(instant, time.Now())
	if err != nil {
		return 0, err
	}
	m, err := d.x.find(ctx, at)
	return m.Seq, err
}

// Why implements player.Desk.
func (d desk) Why(ctx context.Context, of replay.Step) ([]string, error) {
	about, err := replay.ParseSubject(of.Object, "")
	if err != nil {
		return nil, err
	}
	if about, err = d.x.Subject(ctx, d.x.at.Seq, about); err != nil {
		return nil, err
	}
	why, err := d.x.WhyAt(ctx, of.Seq, about)
	if err != nil {
		return nil, err
	}
	return linesOf(whyText(why)), nil
}

// Diff implements player.Desk.
func (d desk) Diff(ctx context.Context, from, to events.Seq) ([]string, error) {
	x, err := d.x.Diff(ctx, from, to, replay.Filter{})
	if err != nil {
		return nil, err
	}
	return linesOf(diffText(x, "cause")), nil
}

// Search implements player.Desk.
func (d desk) Search(ctx context.Context, text string) (seqs []events.Seq, err error) {
	found, err := d.x.Search(ctx, replay.Query{Text: text}, d.x.Span().First, d.x.Span().Last)
	if err != nil {
		return nil, err
	}
	for _, hit := range found.Hits {
		seqs = append(seqs, hit.Seq)
	}
	return seqs, nil
}

func linesOf(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// keyboard returns the terminal that keys come from, if input and output both are
// one.
func (s *session) keyboard() (*os.File, bool) {
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	_, _, ok = terminal(s.out)
	return f, ok
}

// atKeys has somebody look at what do shows, and gives it the keys that are pressed,
// until do returns. Its context ends with Ctrl-C, too.
func atKeys(ctx context.Context, from *os.File, do func(ctx context.Context, keys <-chan player.Key) error) (err error) {
	fd := int(from.Fd())
	was, err := term.MakeRaw(fd)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer func() { _ = term.Restore(fd, was) }()
	ctx, stop := context.WithCancel(ctx)
	keys, read := make(chan player.Key, 64), make(chan struct{})
	go func() {
		defer close(read)
		readKeys(ctx, from, keys, stop)
	}()
	defer func() { stop(); <-read }()
	return do(ctx, keys)
}

// play lets somebody watch a replay, until it is left.
func (s *session) play(ctx context.Context, p *player.Player, keys <-chan player.Key) (err error) {
	tick := time.NewTicker(playerTick)
	defer tick.Stop()
	on := &screen{out: s.out, badge: true}
	for last := time.Now(); !p.Done(); {
		on.draw(p.View)
		select {
		case k := <-keys:
			err = p.Press(ctx, k)
		case now := <-tick.C:
			err = p.Tick(ctx, now.Sub(last))
			last = now
		case <-ctx.Done():
			return nil // Ctrl-C leaves, whatever is under way
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return s.out.failure()
}

// readKeys reads keys until ctx is done. Ctrl-C stops what is under way.
func readKeys(ctx context.Context, from *os.File, keys chan<- player.Key, stop func()) {
	fds := []unix.PollFd{{Fd: int32(from.Fd()), Events: unix.POLLIN}}
	buf := make([]byte, 256)
	for ctx.Err() == nil {
		if n, err := unix.Poll(fds, keyWait); n == 0 || err == unix.EINTR {
			continue
		}
		n, err := from.Read(buf)
		if err == io.EOF || n == 0 && err != nil {
			stop()
			return
		}
		for _, k := range pressedOf(buf[:n]) {
			if k == player.Interrupt {
				stop()
				return
			}
			select {
			case keys <- k:
			case <-ctx.Done():
			}
		}
	}
}

// sequence is what a terminal sends for a key that is no character.
type sequence struct {
	bytes string
	key   player.Key
}

var sequences = []sequence{
	{"\x1b[1;2D", player.PlanLeft}, {"\x1b[1;2C", player.PlanRight}, {"\x1b[D", player.Left}, {"\x1b[C", player.Right}, {"\x1b[A", player.Up}, {"\x1b[B", player.Down},
	{"\x1bOD", player.Left}, {"\x1bOC", player.Right}, {"\x1bOA", player.Up}, {"\x1bOB", player.Down},
	{"\r", player.Enter}, {"\n", player.Enter}, {"\x7f", player.Backspace}, {"\b", player.Backspace}, {"\x03", player.Interrupt},
}

// pressedOf returns the keys that bytes of a terminal tell of. Keys that nobody knows
// are passed over.
func pressedOf(b []byte) (keys []player.Key) {
	for text := string(b); text != ""; {
		if i := slices.IndexFunc(sequences, func(q sequence) bool { return strings.HasPrefix(text, q.bytes) }); i >= 0 {
			keys, text = append(keys, sequences[i].key), text[len(sequences[i].bytes):]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == '\x1b' && len(text) > 2 && text[1] == '[': // one that is not known: up to its last byte
			n = len(text)
			if end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' }); end >= 0 {
				n = end + 3
			}
		case r == '\x1b':
			keys = append(keys, player.Escape)
		case r >= ' ':
			keys = append(keys, player.Key(string(r)))
		}
		text = text[n:]
	}
	return keys
}
