package player

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"rollcall/projector/sets"
)

var help = []string{
	"space          play, pause",
	"left, right    the event before, after",
	"[ ]            the event before, after on which something was decided; shift and an arrow do the same",
	"< >            the wave of a rollout before, after",
	"+ -            faster, slower",
	"g              go to an instant: 48210, 10:43:07, -5m, rollout/agent#9:start",
	"/  n N         search a text; the next, the last that was found",
	"w              why the object of the event is as it is",
	"m  d           mark; compare with the mark",
	"q              leave, as Ctrl-C does",
}

// maxSets is how many DaemonSets have a line.
const maxSets = 4

// View returns what is shown on so many columns and at most so many lines.
func (p *Player) View(width, height int) []string {
	lines := p.head(width)
	foot := p.foot()
	room := height - len(lines) - 1
	switch {
	case p.pane != nil:
		lines = append(lines, p.paneLines(room, width)...)
	default:
		told := p.told(width)
		told = told[:min(len(told), max(1, room))]
		lines = append(lines, p.cluster(width, room-len(told)-1)...)
		lines = append(append(lines, ""), told...)
	}
	lines = lines[:max(0, min(len(lines), height-1))]
	return append(lines, foot)
}

// head says where in the history the player is.
func (p *Player) head(width int) []string {
	span := p.reel.Span()
	speed := "max"
	if p.speed > 0 {
		speed = fmt.Sprintf("%gx", p.speed)
	}
	does := "paused"
	if p.playing {
		does = "playing"
	}
	first := fmt.Sprintf("REPLAY %s  %s by %s  #%d of #%d to #%d  %s", speed, does, p.step, p.frame.Seq, span.First, span.Last, p.frame.Time.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	return []string{first, bar(width-1, int(p.frame.Seq-p.from), int(p.to-p.from))}
}

// bar draws how much of something is done.
func bar(width, done, all int) string {
	inner := max(width-2, 1)
	n := inner
	if all > 0 {
		n = min(max(inner*done/all, 0), inner)
	}
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", inner-n) + "]"
}

// foot is the last line: what is being written, what there is to say, or which
// keys there are.
func (p *Player) foot() string {
	switch {
	case p.input != nil:
		return p.input.asks + ": " + p.input.text + "_"
	case p.pane != nil:
		return p.pane.title + ": up and down scroll, any other key closes it"
	}
	return cmp.Or(p.note, "space play  arrows event  [ ] plan  < > wave  g go to  / search  ? keys  q quit")
}

func (p *Player) paneLines(room, width int) (lines []string) {
	for _, line := range p.pane.lines {
		lines = append(lines, wrap(line, width-1)...)
	}
	from := min(p.pane.top, max(0, len(lines)-room))
	p.pane.top = from // who has come to the end does not go on
	return lines[from:min(len(lines), from+max(room, 0))]
}

// told is what the desk tells of the frame.
func (p *Player) told(width int) (lines []string) {
	for _, line := range p.desk.Tell(p.frame) {
		lines = append(lines, wrap(line, width-1)...)
	}
	return lines
}

// wrap breaks a line that is too long for so many columns.
func wrap(line string, width int) (lines []string) {
	const indent = "    "
	runes := []rune(line)
	for width > 2*len(indent) && len(runes) > width {
		at := width
		if blank := strings.LastIndex(string(runes[:width]), " "); blank > len(string(runes[:width]))/2 {
			at = len([]rune(string(runes[:width])[:blank]))
		}
		lines = append(lines, string(runes[:at]))
		runes = []rune(indent + strings.TrimLeft(string(runes[at:]), " "))
	}
	return append(lines, string(runes))
}

// cluster shows how the DaemonSets stand, those first whose rollout is under way,
// and the nodes of the first.
func (p *Player) cluster(width, room int) (lines []string) {
	all := slices.Clone(p.reel.State().DaemonSets())
	slices.SortStableFunc(all, func(a, b *sets.DaemonSet) int { return cmp.Compare(standing(a), standing(b)) })
	for i, d := range all {
		if i == maxSets {
			lines = append(lines, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		c := d.Counts
		lines = append(lines, fmt.Sprintf("ds/%s  %s %d/%d updated, %d available, %d ready", d.Key, bar(22, c.Updated, c.Desired), c.Updated, c.Desired, c.Available, c.Ready))
	}
	if len(all) > 0 {
		lines = append(lines, grid(all[0], width-1, room-len(lines)-1)...)
	}
	return lines[:max(0, min(len(lines), room))]
}

// standing orders DaemonSets: those under way come first.
func standing(d *sets.DaemonSet) int {
	if c := d.Counts; c.Updated < c.Desired || c.Available < c.Desired {
		return 0
	}
	return 1
}

// legend says what the characters of a grid are.
const legend = "# new  + new, not ready  o old  x old, not ready  - ending  _ no pod  ! node lost"

// grid shows each node of a DaemonSet as a character.
func grid(d *sets.DaemonSet, width, room int) (lines []string) {
	if room < 2 || width < 12 {
		return nil
	}
	var line strings.Builder
	n := 0
	cells := d.AllCells()
	for i, c := range cells {
		if c.Place != sets.Run && len(c.Pods) == 0 {
			continue
		}
		if line.Len()+2 > width {
			lines = append(lines, line.String())
			line.Reset()
			if len(lines) == room-1 {
				return append(lines, fmt.Sprintf("%s  and %d more nodes", legend, len(cells)-i))
			}
		} else if n > 0 && n%10 == 0 {
			line.WriteByte(' ')
		}
		line.WriteByte(glyph(d, c))
		n++
	}
	if line.Len() > 0 {
		lines = append(lines, line.String())
	}
	return append(lines, legend)
}

// glyph is the character of a node.
func glyph(d *sets.DaemonSet, c *sets.Cell) byte {
	if c.Lost {
		return '!'
	}
	g := byte('_')
	for _, pod := range c.Pods {
		switch {
		case pod.Deleting:
			if g == '_' {
				g = '-'
			}
		case d.IsNew(&pod.PodView) && pod.Ready:
			return '#'
		case d.IsNew(&pod.PodView):
			g = '+'
		case pod.Ready:
			return 'o'
		default:
			g = 'x'
		}
	}
	return g
}
