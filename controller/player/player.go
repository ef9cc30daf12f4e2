// Package player is a history played again for somebody who watches it: what the
// keys do, and what is shown. It knows no terminal and no clock: keys and the time
// that has passed come in, lines go out. It can only read.
package player

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
)

// Key is a key that was pressed: a character, or one of those below.
type Key string

// The keys that are no characters.
const (
	Left      Key = "left"
	Right     Key = "right"
	Up        Key = "up"
	Down      Key = "down"
	PlanLeft  Key = "shift+left"
	PlanRight Key = "shift+right"
	Enter     Key = "enter"
	Escape    Key = "esc"
	Backspace Key = "backspace"
	Interrupt Key = "ctrl+c"
)

// Desk answers what a player is asked. An error that it returns is shown, and
// ends nothing.
type Desk interface {
	// Tell says what there is to say of a frame, line by line.
	Tell(f *replay.Frame) []string
	// Find returns the position of an instant.
	Find(ctx context.Context, instant string) (events.Seq, error)
	// Why explains the object of an event as it was after that.
	Why(ctx context.Context, s replay.Step) ([]string, error)
	// Diff says what differs between two positions.
	Diff(ctx context.Context, from, to events.Seq) ([]string, error)
	// Search returns the events that have a text, in their order.
	Search(ctx context.Context, text string) ([]events.Seq, error)
}

// Step is what a replay goes on by.
type Step string

// The steps of a replay.
const (
	ByEvent Step = "event"
	ByPlan  Step = "plan" // to the next event on which something was decided
	ByWave  Step = "wave" // to the next event on which a rollout went on to more nodes
)

// speeds are how fast a player can go: so many times as fast as it was recorded;
// 0 is as fast as it can.
var speeds = []float64{0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 0}

// Idle is the longest that is waited between two events.
const Idle = 2 * time.Second

// atOnce is how many events a player that goes as fast as it can passes between
// two looks.
const atOnce = 20

// Player plays a history between two positions. The zero one is none: New makes
// one.
type Player struct {
	reel     *replay.Reel
	desk     Desk
	from, to events.Seq
	step     Step
	frame    *replay.Frame

	playing bool
	speed   float64
	waited  time.Duration // since the frame came

	mark  events.Seq // 0: none
	waves []events.Seq
	hits  []events.Seq // of the last search
	input *input       // nil: nothing is being written
	pane  *pane        // nil: the cluster is shown
	note  string       // what there is to say to the last key
	done  bool
}

// input is a line that is being written.
type input struct {
	asks, text string
	then       func(ctx context.Context, text string) error
}

// pane is a text that is shown in place of the cluster.
type pane struct {
	title string
	lines []string
	top   int // the first line that is shown
}

// New returns a player at the first position, which stands still.
func New(ctx context.Context, reel *replay.Reel, desk Desk, from, to events.Seq, step Step, speed float64) (*Player, error) {
	p := &Player{reel: reel, desk: desk, from: from, to: to, step: step, speed: speed}
	return p, p.Seek(ctx, from)
}

// Done reports whether the player was left.
func (p *Player) Done() bool { return p.done }

// At returns the position that is shown.
func (p *Player) At() events.Seq { return p.frame.Seq }

// Seek shows a position, or the nearest one that is played.
func (p *Player) Seek(ctx context.Context, seq events.Seq) error {
	f, err := p.reel.Frame(ctx, min(max(seq, p.from), p.to))
	if err == nil {
		p.frame, p.waited = f, 0
	}
	return err
}

// Tick lets time pass.
func (p *Player) Tick(ctx context.Context, passed time.Duration) error {
	p.waited += passed
	for n := 0; p.playing && n < atOnce; n++ {
		next, err := p.next(ctx, p.step, 1)
		if err != nil {
			return err
		}
		if next == 0 {
			p.playing, p.note = false, "the end"
			return nil
		}
		at, err := p.reel.Time(ctx, next)
		if err != nil {
			return err
		}
		due := time.Duration(0)
		if p.speed > 0 {
			due = min(time.Duration(float64(at.Sub(p.frame.Time))/p.speed), Idle)
		}
		if p.waited < due {
			return nil
		}
		rest := p.waited - max(due, 0)
		if err := p.Seek(ctx, next); err != nil {
			return err
		}
		p.waited = rest
	}
	return nil
}

// next returns the position that is a step away, in one direction or the other; 0:
// there is none.
func (p *Player) next(ctx context.Context, by Step, direction int) (events.Seq, error) {
	at := p.frame.Seq
	stops := p.reel.Decided()
	switch by {
	case ByEvent:
		if next := events.Seq(int64(at) + int64(direction)); next >= p.from && next <= p.to {
			return next, nil
		}
		return 0, nil
	case ByWave:
		if p.waves == nil {
			waves, err := p.reel.Waves(ctx)
			if err != nil {
				return 0, err
			}
			p.waves = append([]events.Seq{}, waves...)
		}
		stops = p.waves
	}
	return p.stop(stops, direction), nil
}

// stop returns the next of some positions in a direction; 0: there is none.
func (p *Player) stop(stops []events.Seq, direction int) events.Seq {
	i, here := slices.BinarySearch(stops, p.frame.Seq)
	switch {
	case direction < 0:
		i--
	case here:
		i++
	}
	if i < 0 || i >= len(stops) || stops[i] < p.from || stops[i] > p.to {
		return 0
	}
	return stops[i]
}

// Press does what a key is for. What the desk refuses is shown.
func (p *Player) Press(ctx context.Context, k Key) error {
	p.note = ""
	err := p.press(ctx, k)
	if refused := new(events.Error); errors.As(err, &refused) && refused.Exit == events.ExitInput {
		p.note = refused.Error()
		return nil
	}
	return err
}

func (p *Player) press(ctx context.Context, k Key) error {
	switch {
	case k == Interrupt:
		p.done = true
		return nil
	case p.input != nil:
		return p.write(ctx, k)
	case p.pane != nil:
		p.scroll(k)
		return nil
	}
	switch k {
	case " ":
		p.playing, p.waited = !p.playing, 0
	case "+", "-":
		p.faster(map[Key]int{"+": 1, "-": -1}[k])
	case "q":
		p.done = true
	case "m":
		p.mark, p.note = p.frame.Seq, fmt.Sprintf("#%d is marked; d compares with it", p.frame.Seq)
	case "g":
		p.input = &input{asks: "go to", then: p.goTo}
	case "/":
		p.input = &input{asks: "search", then: p.search}
	case "n":
		return p.hit(ctx, 1)
	case "N":
		return p.hit(ctx, -1)
	case "w", "d", "?":
		return p.look(ctx, k)
	}
	return p.move(ctx, k)
}

// moves are the keys that go from one position to another.
var moves = map[Key]struct {
	by        Step
	direction int
}{Left: {ByEvent, -1}, Right: {ByEvent, 1}, PlanLeft: {ByPlan, -1}, PlanRight: {ByPlan, 1}, "[": {ByPlan, -1}, "]": {ByPlan, 1}, "<": {ByWave, -1}, ">": {ByWave, 1}}

func (p *Player) move(ctx context.Context, k Key) error {
	m, ok := moves[k]
	if !ok {
		return nil
	}
	p.playing = false
	next, err := p.next(ctx, m.by, m.direction)
	if err != nil {
		return err
	}
	if next == 0 {
		p.note = "there is no " + string(m.by) + " further on"
		return nil
	}
	return p.Seek(ctx, next)
}

// faster takes the next speed, or the one before.
func (p *Player) faster(by int) {
	i := slices.Index(speeds, p.speed)
	if i < 0 { // one that was asked for
		i = slices.IndexFunc(speeds, func(s float64) bool { return s > p.speed || s == 0 })
		by = min(by, 0)
	}
	p.speed = speeds[min(max(i+by, 0), len(speeds)-1)]
}

// look opens a pane.
func (p *Player) look(ctx context.Context, k Key) (err error) {
	x := &pane{title: "keys", lines: help}
	switch {
	case k == "w":
		x.title = "why"
		x.lines, err = p.desk.Why(ctx, p.frame.Step)
	case k == "d" && p.mark == 0:
		p.note = "nothing is marked: m marks"
		return nil
	case k == "d":
		from, to := min(p.mark, p.frame.Seq), max(p.mark, p.frame.Seq)
		x.title = fmt.Sprintf("from #%d to #%d", from, to)
		x.lines, err = p.desk.Diff(ctx, from, to)
	}
	if err == nil {
		p.pane, p.playing = x, false
	}
	return err
}

// scroll moves in a pane, or closes it.
func (p *Player) scroll(k Key) {
	switch k {
	case Up:
		p.pane.top = max(0, p.pane.top-1)
	case Down, " ":
		p.pane.top = min(len(p.pane.lines)-1, p.pane.top+1)
	default:
		p.pane = nil
	}
}

// write takes a key into the line that is being written.
func (p *Player) write(ctx context.Context, k Key) error {
	in := p.input
	switch runes := []rune(in.text); {
	case k == Escape:
		p.input = nil
	case k == Enter:
		p.input = nil
		if in.text != "" {
			return in.then(ctx, in.text)
		}
	case k == Backspace && len(runes) > 0:
		in.text = string(runes[:len(runes)-1])
	case len([]rune(string(k))) == 1:
		in.text += string(k)
	}
	return nil
}

func (p *Player) goTo(ctx context.Context, instant string) error {
	at, err := p.desk.Find(ctx, instant)
	if err != nil {
		return err
	}
	p.playing = false
	return p.Seek(ctx, at)
}

func (p *Player) search(ctx context.Context, text string) (err error) {
	if p.hits, err = p.desk.Search(ctx, text); err != nil {
		return err
	}
	return p.hit(ctx, 1)
}

// hit goes to the next event that was found.
func (p *Player) hit(ctx context.Context, direction int) error {
	next := p.stop(p.hits, direction)
	if next == 0 {
		p.note = fmt.Sprintf("%d found, none further on", len(p.hits))
		return nil
	}
	p.playing, p.note = false, fmt.Sprintf("%d found; n and N go on", len(p.hits))
	return p.Seek(ctx, next)
}
