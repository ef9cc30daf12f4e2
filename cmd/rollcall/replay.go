package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/condition"
	"rollcall/controller/player"
	"rollcall/controller/replay"
	"rollcall/events"
)

// replaying is what the flags of replay say.
type replaying struct {
	from, speed, step, until string

	first replay.Instant // --from
	times float64        // as fast as it was recorded; 0: as fast as it goes
	end   *condition.Condition
}

var replaySteps = []string{"event", "plan", "wave"}

func (s *session) replayCommand() *cobra.Command {
	var o replaying
	c := &cobra.Command{Use: "replay", Short: "Play the log again: before, event, after, and what was decided on it", Args: takes(0, 0),
		Long: `replay plays what the log holds once more, event by event. It reads; nothing is carried
out, and nothing is appended. Each event says that it is a replay, what it has changed
of its object and of the counters of DaemonSets, and the plans that were decided on it:
those whose basis it is.

On a terminal it is a player that begins paused: space plays, arrows and brackets step,
? shows all keys. Elsewhere, and with another -o, it prints one line an event. --step
plan prints those on which something was decided,
--step wave those on which a rollout put its template on more nodes. It goes as fast as
it can; --speed 1x waits between events as it was recorded, 4x a quarter of that, and
never longer than 2 s. --until ends it after the first event at which an expression in
CEL is true, and the player begins there; it exits 1 if there is none. docs/DEBUGGING.md
tells what it can name.

` + replay.InstantForms,
		Example: `  rollcall replay --from 3 --to 20
  rollcall replay --step plan
  rollcall replay --until 'size(state.pods)>1' --speed max -o jsonl`}
	q := addQuestion(c, "jsonl")
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "first instant that is played (default: the first event)")
	f.StringVar(&q.at, "to", "", "last instant that is played (default: the end of the log)")
	f.StringVar(&o.speed, "speed", "", "how fast: 0.5x, 1x, 4x, max (default: max, on a terminal 1x)")
	f.StringVar(&o.step, "step", "event", "what is shown: "+strings.Join(replaySteps, ", "))
	f.StringVar(&o.until, "until", "", "expression in CEL after which it ends")
	c.RunE = func(c *cobra.Command, _ []string) error {
		normal := "max"
		if _, ok := s.keyboard(); ok {
			normal = "1x"
		}
		if err := o.read(q, normal); err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.replay(c.Context(), x, &o) })
	}
	return c
}

// read reads the flags.
func (o *replaying) read(q *question, normal string) (err error) {
	o.speed = cmp.Or(o.speed, normal)
	if o.speed != "max" {
		n, err := fmt.Sscanf(strings.TrimSuffix(o.speed, "x"), "%g", &o.times)
		if err != nil || n != 1 || o.times < 0.01 || o.times > 1e6 {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--speed %q is no speed", o.speed), "write it as 0.5x, 4x or max")
		}
	}
	if !slices.Contains(replaySteps, o.step) {
		return usageError("E-CLI-FLAG", fmt.Sprintf("--step %q is no step", o.step), events.Suggest(o.step, replaySteps, "choose from "+strings.Join(replaySteps, ", ")))
	}
	if o.until != "" {
		if o.end, err = condition.Compile(o.until); err != nil {
			return err
		}
	}
	if o.first, err = q.instant(o.from); err != nil {
		return of("--from", err)
	}
	return nil
}

func (s *session) replay(ctx context.Context, x *asked, o *replaying) error {
	from, err := x.beginning(ctx, o.from, o.first)
	if err != nil {
		return err
	}
	reel, err := x.Reel(ctx)
	if err != nil {
		return err
	}
	if keys, ok := s.keyboard(); ok && x.format == "text" {
		return s.replayTo(ctx, x, o, reel, from, keys)
	}
	only, err := o.only(ctx, reel)
	if err != nil {
		return err
	}
	p := &printedReplay{x: x, pace: pace{times: o.times}}
	met, err := reel.Play(ctx, from, x.at.Seq, o.end, func(f *replay.Frame) error {
		if _, wanted := slices.BinarySearch(only, f.Seq); only != nil && !wanted {
			return nil
		}
		if err := p.wait(ctx, f.Time); err != nil {
			return err
		}
		return p.show(f)
	})
	if err == nil {
		err = p.end()
	}
	if err == nil && o.end != nil && !met {
		return errNothing
	}
	return err
}

// replayTo plays on a terminal, from where an expression is true if there is one.
func (s *session) replayTo(ctx context.Context, x *asked, o *replaying, reel *replay.Reel, from events.Seq, keys *os.File) error {
	at := from
	if o.end != nil {
		met, err := reel.Play(ctx, from, x.at.Seq, o.end, func(f *replay.Frame) error {
			at = f.Seq
			return nil
		})
		if err != nil {
			return err
		}
		if !met {
			if err := (&printedReplay{x: x}).end(); err != nil {
				return err
			}
			return errNothing
		}
	}
	x.log.done()
	p, err := player.New(ctx, reel, desk{x}, from, x.at.Seq, player.Step(o.step), o.times)
	if err == nil {
		err = p.Seek(ctx, at)
	}
	if err != nil {
		return err
	}
	return atKeys(ctx, keys, func(ctx context.Context, keys <-chan player.Key) error { return s.play(ctx, p, keys) })
}

// only returns the events that are shown, in their order; nil: all.
func (o *replaying) only(ctx context.Context, reel *replay.Reel) ([]events.Seq, error) {
	switch o.step {
	case "plan":
		return append([]events.Seq{}, reel.Decided()...), nil
	case "wave":
		waves, err := reel.Waves(ctx)
		return append([]events.Seq{}, waves...), err
	}
	return nil, nil
}

// pace makes a replay take its time.
type pace struct {
	times float64 // as fast as it was recorded; 0: as fast as it goes
	last  time.Time
}

// wait waits until the next event is due.
func (p *pace) wait(ctx context.Context, next time.Time) error {
	last := p.last
	p.last = next
	if p.times == 0 || last.IsZero() {
		return nil
	}
	gap := min(time.Duration(float64(next.Sub(last))/p.times), player.Idle)
	if gap <= 0 {
		return nil
	}
	select {
	case <-time.After(gap):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// printedReplay prints frames: at once as lines, or as one document.
type printedReplay struct {
	pace
	x      *asked
	shown  int
	frames []*replay.Frame
}

func (p *printedReplay) show(f *replay.Frame) error {
	p.shown++
	switch p.x.format {
	case "text":
		p.x.out.printf("%s\n", frameLine(f))
	case "jsonl":
		j, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		p.x.out.printf("%s\n", j)
	default:
		p.frames = append(p.frames, f)
	}
	return p.x.out.failure()
}

func (p *printedReplay) end() error {
	switch p.x.format {
	case "jsonl":
		return nil
	case "text":
		return p.x.give("", nil, func() string { return plural(p.shown, "event") + " replayed, nothing was carried out or appended\n" })
	}
	return p.x.give("Replay", append([]*replay.Frame{}, p.frames...), nil)
}

// frameLine tells a frame on one line.
func frameLine(f *replay.Frame) string {
	parts := []string{"replay " + stepText(f.Step)}
	for _, c := range f.Counts {
		parts = append(parts, recountText(c))
	}
	return strings.Join(append(parts, decisionText(f)), "  |  ")
}

// recountText says which counters of a DaemonSet have changed.
func recountText(c replay.Recount) string {
	var parts []string
	for _, n := range []struct {
		name          string
		before, after int
	}{
		{"desired", c.Before.Desired, c.After.Desired}, {"updated", c.Before.Updated, c.After.Updated}, {"ready", c.Before.Ready, c.After.Ready},
		{"available", c.Before.Available, c.After.Available}, {"misscheduled", c.Before.Misscheduled, c.After.Misscheduled},
		{"surging", c.Before.Surging, c.After.Surging}, {"waiting", c.Before.Waiting, c.After.Waiting}, {"lost", c.Before.Lost, c.After.Lost},
	} {
		if n.before != n.after {
			parts = append(parts, fmt.Sprintf("%s %d→%d", n.name, n.before, n.after))
		}
	}
	if parts == nil {
		parts = []string{fmt.Sprintf("scheduled %d→%d", c.Before.Scheduled, c.After.Scheduled)}
	}
	return fmt.Sprintf("ds/%s %s", c.DaemonSet, strings.Join(parts, ", "))
}

// maxCommands is how many commands of a plan are told.
const maxCommands = 3

// decisionText says what was decided on an event.
func decisionText(f *replay.Frame) string {
	var plans []string
	for _, d := range f.Decisions {
		var parts []string
		for i, c := range d.Commands {
			if i == maxCommands {
				parts = append(parts, fmt.Sprintf("and %d more", len(d.Commands)-i))
				break
			}
			on := ""
			if c.Node != "" {
				on = " on " + c.Node
			}
			parts = append(parts, fmt.Sprintf("%s %s%s (%s)", c.Do, c.Name, on, c.Reason))
		}
		if len(d.Commands) == 0 {
			parts = []string{"no command"}
		}
		text := fmt.Sprintf("decided #%d: %s", d.Seq, strings.Join(parts, ", "))
		if len(d.Held) > 0 {
			text += "; held back: " + heldText(d.Held, d.Waiting)
		}
		plans = append(plans, text)
	}
	if plans == nil {
		return "no decision"
	}
	return strings.Join(plans, "  |  ")
}
