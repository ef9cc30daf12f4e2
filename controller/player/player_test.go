package player_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/controller/player"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
)

var rewrite = flag.Bool("rewrite", false, "write the screens of testdata anew")

// desk answers from a history, in few words.
type desk struct{ *replay.History }

func (desk) Tell(f *replay.Frame) []string {
	lines := []string{fmt.Sprintf("event #%d %s %s", f.Seq, f.Object, f.What)}
	for _, d := range f.Decisions {
		lines = append(lines, fmt.Sprintf("decided #%d, %d commands", d.Seq, len(d.Commands)))
	}
	return lines
}

func (d desk) Find(ctx context.Context, text string) (events.Seq, error) {
	at, err := replay.ParseInstant(text, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return 0, err
	}
	m, err := at.Find(ctx, d.log(), d.Span().Last)
	return m.Seq, err
}

func (d desk) log() events.Reader { return logs[d.History] }

// logs are the logs of the histories of these tests.
var logs = map[*replay.History]events.Reader{}

func (d desk) Why(_ context.Context, s replay.Step) ([]string, error) {
	var lines []string
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("reason %d of %s", i, s.Object))
	}
	return lines, nil
}

func (d desk) Diff(ctx context.Context, from, to events.Seq) ([]string, error) {
	x, err := d.History.Diff(ctx, from, to, replay.Filter{})
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("%d causes", len(x.Groups))}, nil
}

func (d desk) Search(ctx context.Context, text string) (seqs []events.Seq, err error) {
	x, err := d.History.Search(ctx, replay.Query{Text: text}, 1, d.Span().Last)
	if err != nil {
		return nil, err
	}
	for _, hit := range x.Hits {
		seqs = append(seqs, hit.Seq)
	}
	return seqs, nil
}

// opened returns a player of a recording, its reel and its history.
func opened(t *testing.T, step player.Step, speed float64) (*player.Player, *replay.Reel, *replay.History) {
	t.Helper()
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	h, err := replay.Open(t.Context(), r, replay.NewMemoryKeyframes(50, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	logs[h] = r
	reel, err := h.Reel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := player.New(t.Context(), reel, desk{h}, 1, h.Span().Last, step, speed)
	if err != nil {
		t.Fatal(err)
	}
	return p, reel, h
}

// press presses keys; what is in quotes is written letter by letter.
func press(t *testing.T, p *player.Player, keys string) {
	t.Helper()
	for _, k := range strings.Fields(keys) {
		pressed := []string{k}
		switch {
		case k == "space":
			pressed[0] = " "
		case strings.HasPrefix(k, "'"):
			pressed = strings.Split(strings.Trim(k, "'"), "")
		}
		for _, k := range pressed {
			if err := p.Press(t.Context(), player.Key(k)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// pass lets time pass.
func pass(t *testing.T, p *player.Player, d time.Duration) {
	t.Helper()
	if err := p.Tick(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// TestKeys: each key goes where it says, and what is shown is the state there.
func TestKeys(t *testing.T) {
	p, reel, h := opened(t, player.ByEvent, 1)
	for _, c := range []struct {
		keys string
		want events.Seq
		foot string
	}{
		{"left", 1, "there is no event further on"},
		{"right right", 3, ""},
		{"left", 2, ""},
		{"g '190' enter", 190, ""},
		{"[", 182, ""},
		{"]", 190, ""},
		{"shift+right shift+left", 190, ""},
		{"<", 177, ""},
		{"> >", 206, ""},
		{"g '500' enter", 206, "E-CLI-INSTANT"},
		{"g 'nothing' enter", 206, "E-CLI-INSTANT"},
		{"g '3' esc", 206, ""},
		{"g '159' backspace '0' enter", 150, ""},
		{"/ 'rollcall/fail' enter", 188, "found; n and N go on"},
		{"n", 189, ""},
		{"N", 188, ""},
		{"/ 'no-such-text' enter", 188, "0 found, none further on"},
		{"d", 188, "nothing is marked"},
		{"m right right d", 190, "from #188 to #190: up and down scroll"},
		{"x", 190, "space play"},
		{"w", 190, "why: up and down scroll"},
		{"down down up x", 190, "space play"},
		{"g '438' enter right", 438, "there is no event further on"},
		{"z", 438, "space play"},
	} {
		press(t, p, c.keys)
		lines := p.View(200, 40)
		if foot := lines[len(lines)-1]; p.At() != c.want || !strings.Contains(foot, c.foot) {
			t.Errorf("%s: #%d with %q, want #%d with %q", c.keys, p.At(), foot, c.want, c.foot)
		}
		s, err := h.At(t.Context(), p.At())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := hash(t, reel.State()), hash(t, s); got != want {
			t.Errorf("%s: the state at #%d is %s, want %s", c.keys, p.At(), got, want)
		}
	}
	press(t, p, "q")
	if !p.Done() {
		t.Error("it was not left")
	}
}

func hash(t *testing.T, s *projector.State) string {
	t.Helper()
	data, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	return projector.Hash(data)
}

// TestPace: a player waits as it was recorded, times its speed, and never long.
func TestPace(t *testing.T) {
	p, _, _ := opened(t, player.ByEvent, 1)
	pass(t, p, time.Hour)
	if p.At() != 1 {
		t.Fatal("it plays without being asked")
	}
	press(t, p, "g '197' enter space")
	for _, c := range []struct {
		passed time.Duration
		want   events.Seq
	}{{0, 197}, {player.Idle - 1, 197}, {1, 198}} { // a quarter of an hour later
		pass(t, p, c.passed)
		if p.At() != c.want {
			t.Errorf("after %s: #%d, want #%d", c.passed, p.At(), c.want)
		}
	}
	press(t, p, "space")
	pass(t, p, time.Hour)
	if p.At() != 198 {
		t.Error("it plays while it is paused")
	}
	press(t, p, "- - - - - - -")
	if view := p.View(80, 24)[0]; !strings.HasPrefix(view, "REPLAY 0.1x  paused") {
		t.Error(view)
	}
	press(t, p, strings.Repeat("+ ", 20))
	if view := p.View(80, 24)[0]; !strings.HasPrefix(view, "REPLAY max  paused") {
		t.Error(view)
	}
	press(t, p, "space")
	for range 50 {
		pass(t, p, 0)
	}
	if view := p.View(80, 24); p.At() != 438 || view[len(view)-1] != "the end" || !strings.Contains(view[0], "paused") {
		t.Errorf("#%d: %q", p.At(), view)
	}
}

// TestPaceBySteps: a player can go on from decision to decision.
func TestPaceBySteps(t *testing.T) {
	p, reel, _ := opened(t, player.ByPlan, 0)
	press(t, p, "space")
	pass(t, p, 0)
	at := reel.Decided()[0]
	for range 100 {
		pass(t, p, 0)
	}
	if last := reel.Decided()[len(reel.Decided())-1]; at == 0 || p.At() != last {
		t.Errorf("#%d, want #%d", p.At(), last)
	}
}

// TestScreens: what is shown on terminals of several sizes, none of whose lines or
// columns are too many.
func TestScreens(t *testing.T) {
	var b strings.Builder
	for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 10}, {20, 5}} {
		p, _, _ := opened(t, player.ByEvent, 4)
		for _, keys := range []string{"", "g '190' enter", "space", "/ 'rest'", "esc w", "down", "x ?"} {
			press(t, p, keys)
			lines := p.View(size[0], size[1])
			if len(lines) > size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			fmt.Fprintf(&b, "== %dx%d %s\n%s\n", size[0], size[1], keys, strings.Join(lines, "\n"))
		}
	}
	path := filepath.Join("testdata", "screens.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the screens differ from %s; go test ./controller/player -rewrite writes them anew:\n%s", path, b.String())
	}
	if strings.ContainsRune(b.String(), '\x1b') {
		t.Error("a screen has codes of terminals in it")
	}
}
