package board

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/controller/grid"
	"rollcall/projector/story"
)

// mark is how something is shown: by a sign, and by a colour beside it.
type mark struct {
	sign   string
	colour string // the parameter of the escape sequence; empty: that of text
}

// phaseMarks are those of the phases of a cell.
var phaseMarks = []mark{{" ", ""}, {"·", "90"}, {"○", "37"}, {"◔", "36"}, {"◑", "96"}, {"●", "32"}, {"◆", "34"}, {"▽", "33"}, {"✕", "31"}, {"⊘", "35"}}

// causeMarks are those of the causes of a cell.
var causeMarks = []mark{{"·", "90"}, {"⊘", "35"}, {"▼", "31"}, {"✕", "91"}, {"▽", "33"}, {"◔", "36"}, {"◑", "96"}, {"○", "37"}}

// revisionColours are those of revisions, by their number.
var revisionColours = []string{"36", "32", "34", "33", "35", "31", "96", "92"}

// badness orders phases: of several nodes under one mark the worst is shown.
var badness = []grid.Phase{grid.Failing, grid.Lost, grid.Missing, grid.Stopping, grid.Starting, grid.Ready, grid.Outdated, grid.Updated, grid.Unwanted, grid.Absent}

// Bounds of what is drawn.
const (
	maxTail  = 6 // last changes
	barWidth = 30
	maxKinds = 4 // nodes that are named of one cause
)

// line is a line that is being written, up to a width.
type line struct {
	text    strings.Builder
	left    int
	colours bool
}

// put adds text as far as there is room.
func (l *line) put(colour, text string) *line {
	n := utf8.RuneCountInString(text)
	if n > l.left {
		if l.left <= 0 {
			return l
		}
		text = string([]rune(text)[:l.left-1]) + "…"
		n = l.left
	}
	l.left -= n
	if l.colours && colour != "" && strings.TrimSpace(text) != "" {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	l.text.WriteString(text)
	return l
}

func (l *line) String() string { return strings.TrimRight(l.text.String(), " ") }

// drawing is a board while it is drawn.
type drawing struct {
	*Board
	View
	width, height int
	colours       bool
	lines         []string
}

func (d *drawing) line() *line { return &line{left: d.width, colours: d.colours} }

func (d *drawing) add(l *line) { d.lines = append(d.lines, l.String()) }

// room is how many lines may still be added.
func (d *drawing) room() int { return d.height - len(d.lines) }

// Draw returns at most so many lines of at most so many columns. Colours are escape
// sequences; nothing is said by a colour alone.
func Draw(b *Board, v View, width, height int, colours bool) []string {
	d := &drawing{Board: b, View: v, width: width, height: height, colours: colours}
	if width <= 0 || height <= 0 {
		return nil
	}
	d.head()
	foot := 0
	if v.Keys && d.room() > 1 {
		foot = 1
	}
	d.height -= foot
	switch {
	case v.Help:
		for _, text := range help {
			d.add(d.line().put("", text))
		}
	case len(b.Sets) == 0:
		d.add(d.line())
		d.add(d.line().put("", "There is no DaemonSet: rollcall kubectl apply -f FILE makes one."))
	default:
		d.body()
	}
	d.lines = d.lines[:min(len(d.lines), d.height)]
	if foot > 0 {
		d.add(d.line().put("", "q quit  ↑↓ DaemonSet  ←→ what marks say  g groups  space pause  ? keys"))
	}
	return d.lines
}

// head says of when and of what the board is.
func (d *drawing) head() {
	lost := ""
	if d.NotReady > 0 {
		lost = fmt.Sprintf(", %d not ready", d.NotReady)
	}
	d.add(d.line().put("", fmt.Sprintf("%s %s  #%d  %s  %s%s", d.Mode, d.Cluster, d.Seq, d.Time.UTC().Format("15:04:05 UTC"), count(len(d.Nodes), "node"), lost)))
}

// body is DaemonSets, the nodes of the one that is chosen, and the last changes.
func (d *drawing) body() {
	chosen := min(max(d.Chosen, 0), len(d.Sets)-1)
	tail := d.Tail[max(0, len(d.Tail)-min(maxTail, max(0, d.room()/3))):]
	shown := max(1, min(len(d.Sets), (d.room()-len(tail))/3))
	from := min(max(0, chosen-shown/2), len(d.Sets)-shown)
	for i, x := range d.Sets[from : from+shown] {
		d.set(x, from+i == chosen && len(d.Sets) > 1)
		if from+i == chosen {
			d.progress(x)
		}
	}
	if more := len(d.Sets) - shown; more > 0 {
		d.add(d.line().put("", fmt.Sprintf("  and %d more", more)))
	}
	if len(tail) > 0 {
		d.height -= len(tail) + 1
	}
	d.cells(d.Sets[chosen])
	if len(tail) > 0 {
		d.height += len(tail) + 1
		d.add(d.line())
		for _, text := range tail {
			d.add(d.line().put("", text))
		}
	}
}

// set is the line of a DaemonSet.
func (d *drawing) set(x *Standing, chosen bool) {
	sign, colour := "  ", ""
	if chosen {
		sign = "▸ "
	}
	switch {
	case x.Stalled != "":
		colour = "31"
	case x.phases()[grid.Updated] < x.Counts.Desired:
		colour = "33"
	}
	d.add(d.line().put("", sign).put(colour, x.Line))
}

// progress is a bar of how far a DaemonSet is, and why nodes have no available pod.
func (d *drawing) progress(x *Standing) {
	if d.room() > 0 {
		d.add(d.bar(x))
	}
	for _, why := range grid.Causes {
		n := x.Causes[why]
		if n == 0 || d.room() < 4 {
			continue
		}
		names := x.Names[why]
		text := strings.Join(names[:min(len(names), maxKinds)], ", ")
		if n > maxKinds {
			text += " …"
		}
		m := causeMarks[slices.Index(grid.Causes, why)]
		d.add(d.line().put("", "  ").put(m.colour, fmt.Sprintf("%s %d %s", m.sign, n, why)).put("", ": "+story.OneLine(text)))
	}
}

func (d *drawing) bar(x *Standing) *line {
	done, all := x.phases()[grid.Updated], x.Counts.Desired
	inner := min(barWidth, max(0, d.width-30))
	full := inner
	if all > 0 {
		full = min(inner*done/all, inner)
	}
	l := d.line().put("", "  ")
	if inner > 0 {
		l.put("", "[").put("32", strings.Repeat("=", full)).put("", strings.Repeat("-", inner-full)+"] ")
	}
	percent := 100
	if all > 0 {
		percent = 100 * done / all
	}
	l.put("", fmt.Sprintf("%d%%  %d/%d", percent, done, all))
	switch r := x.Round; {
	case r == nil:
	case r.End.Seq > 0:
		l.put("", "  took "+span(r.Elapsed))
	default:
		l.put("", "  elapsed "+span(r.Elapsed))
		if r.Left > 0 {
			l.put("", "  ETA "+span(r.Left))
		}
	}
	return l
}

// cells are the nodes of a DaemonSet, a mark for each or for several of them, and
// what the marks say.
func (d *drawing) cells(x *Standing) {
	rows := d.room() - 2
	if len(x.cells) == 0 || d.width <= 2 || rows <= 0 {
		return
	}
	groups, by, above := d.groups(x), "", len(d.lines)
	if groups == nil {
		groups = []group{{cells: x.cells}}
	} else {
		by = "by " + story.OneLine(d.Label(d.Group).Key) + "  "
	}
	d.add(d.line())
	shown := groups
	if len(groups) > rows {
		rows--
		shown = groups[:rows]
	}
	per := d.marks(shown, rows)
	if more := len(groups) - len(shown); more > 0 {
		d.add(d.line().put("", fmt.Sprintf("  and %s more", count(more, "group"))))
	}
	if per > 1 {
		by += fmt.Sprintf("a mark is %d nodes: the worst of them", per)
	}
	if by != "" {
		d.lines[above] = d.line().put("", "  "+by).String()
	}
	d.add(d.legend(x))
}

// group is what stands together.
type group struct {
	title string
	cells []byte
}

// groups are the cells of a DaemonSet by a label of their nodes, in the order of its
// values; nil: by none.
func (d *drawing) groups(x *Standing) []group {
	l := d.Label(d.Group)
	if l == nil {
		return nil
	}
	by := make([][]byte, len(l.Values)+1)
	for i, value := range l.Of {
		at := value
		if value < 0 {
			at = len(l.Values)
		}
		by[at] = append(by[at], x.cells[grid.CellBytes*i:grid.CellBytes*(i+1)]...)
	}
	order := make([]int, len(l.Values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(l.Values[a], l.Values[b]) })
	var all []group
	for _, i := range append(order, len(l.Values)) {
		title := "(none)"
		if i < len(l.Values) {
			title = cmp.Or(l.Values[i], "(empty)")
		}
		if n := len(by[i]) / grid.CellBytes; n > 0 {
			all = append(all, group{fmt.Sprintf("%s %d", story.OneLine(title), n), by[i]})
		}
	}
	return all
}

// marks draws groups, each with its title to the left, in so many lines, and returns
// how many nodes a mark is.
func (d *drawing) marks(groups []group, rows int) (per int) {
	wide, most, all := 0, 0, 0
	for _, g := range groups {
		n := len(g.cells) / grid.CellBytes
		wide, most, all = max(wide, utf8.RuneCountInString(g.title)), max(most, n), all+n
	}
	wide = min(wide, max(8, d.width/3))
	if wide > 0 {
		wide++
	}
	columns := max(1, d.width-2-wide)
	for per = max(1, all/max(1, rows*columns)); per < most; per++ {
		need := 0
		for _, g := range groups {
			need += (len(g.cells)/grid.CellBytes + per*columns - 1) / (per * columns)
		}
		if need <= rows {
			break
		}
	}
	for _, g := range groups {
		title := &line{left: max(0, wide-1)}
		title.put("", g.title)
		for from := 0; from < len(g.cells)/grid.CellBytes; from += per * columns {
			l := d.line().put("", "  ")
			if wide > 0 {
				l.put("", fmt.Sprintf("%-*s ", wide-1, title))
				title = &line{}
			}
			d.add(d.row(l, g.cells[grid.CellBytes*from:min(len(g.cells), grid.CellBytes*(from+per*columns))], per))
		}
	}
	return per
}

// row adds a mark for each so many cells to a line.
func (d *drawing) row(l *line, cells []byte, per int) *line {
	run, now := "", mark{}
	for i := 0; i < len(cells); i += grid.CellBytes * per {
		m := d.By.worst(cells[i:min(len(cells), i+grid.CellBytes*per)])
		if m.colour != now.colour {
			l.put(now.colour, run)
			run, now = "", m
		}
		run += m.sign
	}
	return l.put(now.colour, run)
}

// legend says what the marks mean, and how many nodes there are of each.
func (d *drawing) legend(x *Standing) *line {
	l := d.line().put("", "  ")
	for _, e := range d.By.entries(x.cells) {
		l.put(e.colour, e.sign).put("", fmt.Sprintf(" %s %d  ", e.text, e.n))
	}
	return l
}

// span writes how long something takes.
func span(t time.Duration) string {
	switch {
	case t < time.Second:
		return t.Round(time.Millisecond).String()
	case t < time.Minute:
		return t.Round(100 * time.Millisecond).String()
	}
	return t.Round(time.Second).String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
