package chart

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/projector/story"
)

// Measures of the picture, in pixels.
const (
	letter   = 7.2 // of the size that most text has; in no usual font a line has wider ones
	width    = 960
	left     = 110 // of what has a scale
	right    = 24
	inner    = width - left - right
	ganttTop = 112
	tallRow  = 18
	ganttMax = 540 // of all rows together
	areaTall = 180
	maxRows  = 180 // of more waves several share a row
)

// fill are the colours of causes, in their order, and below those of waves.
var fill = []string{"#0a9467", "#3b3f44", "#c9480b", "#8f1f14", "#e0990a", "#4ba6dd", "#86cdb0", "#8b949e"}

const (
	fillDone   = "#0a9467"
	fillOpen   = "#4ba6dd"
	fillFailed = "#c9480b"
	ink        = "#16202a"
	soft       = "#4d5a66"
	rule       = "#d5dbe1"
)

// stacked is the order in which causes stand on each other, from the ground.
var stacked = []int{4, 5, 6, 7, 1, 2, 3}

var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// text makes what others have written text of the picture.
func text(s string) string { return escaped.Replace(story.OneLine(s)) }

// picture is a picture that is being drawn.
type picture struct {
	*Chart
	b strings.Builder
	y int // what is above is drawn
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

// x returns where a moment is.
func (p *picture) x(t time.Time) float64 {
	return left + inner*min(1, max(0, float64(t.Sub(p.Rollout.Start.Time))/float64(p.took())))
}

// SVG draws a chart.
func SVG(c *Chart) []byte {
	p := &picture{Chart: c}
	p.y = ganttTop
	p.gantt()
	p.y += 44
	p.area()
	p.legend()
	body := p.b.String()
	p.b.Reset()
	p.printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"%s\" role=\"img\">\n",
		width, p.y, width, p.y, ink)
	p.head()
	p.b.WriteString(body)
	p.printf("</svg>\n")
	return []byte(p.b.String())
}

// head says which rollout it is.
func (p *picture) head() {
	r := p.Rollout
	state := cmp.Or(string(r.Ending), "under way")
	title := fmt.Sprintf("%s: %s", r, state)
	p.printf("<title>%s</title>\n<desc>%s</desc>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", text(title), text(p.summary()))
	p.printf("<text x=\"20\" y=\"30\" font-size=\"18\" font-weight=\"600\">%s</text>\n", text(fitting(title, 1.5*letter)))
	p.printf("<text x=\"20\" y=\"50\" fill=\"%s\">%s</text>\n", soft, text(fitting(fmt.Sprintf("%s → %s, by %s%s", cmp.Or(strings.Join(r.Before, ", "), "new"), strings.Join(r.Images, ", "),
		cmp.Or(r.Who, r.Manager, "somebody"), prefixed(": ", r.Why)), letter)))
	p.printf("<text x=\"20\" y=\"68\" fill=\"%s\">#%d %s to #%d %s</text>\n", soft, r.Start.Seq, clock(r.Start.Time), p.Until.Seq, clock(p.Until.Time))
	p.printf("<text x=\"20\" y=\"%d\" font-weight=\"600\">%s</text>\n", ganttTop-16, text(p.summary()))
}

// summary says in a sentence what the picture shows.
func (p *picture) summary() string {
	r := p.Rollout
	limit := ""
	if n := cmp.Or(r.Limits.MaxUnavailable, r.Limits.MaxSurge); n > 0 {
		limit = fmt.Sprintf(" of max %d", n)
	}
	return fmt.Sprintf("%s on %d nodes in %s, %d pods restarted, %d failures, at most %d nodes without an available pod%s", counted(len(r.Waves), "wave"), r.Nodes, p.took().Round(time.Millisecond),
		r.Restarted, r.Failures, r.PeakUnavailable, limit)
}

// fitting cuts what is written from the left edge on to the width of the picture.
func fitting(s string, letter float64) string {
	all, most := []rune(story.OneLine(s)), int((width-40)/letter)
	if len(all) <= most {
		return string(all)
	}
	return string(all[:most-1]) + "…"
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func prefixed(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// row is one wave, or several that share one.
type row struct {
	first, last int // numbers of waves, from 1
	from, to    time.Time
	nodes       int
	failures    int
	open        bool
}

// rows puts waves into at most maxRows rows.
func (p *picture) rows() (all []row) {
	waves := p.Rollout.Waves
	per := (len(waves) + maxRows - 1) / maxRows
	for i, w := range waves {
		if i%max(1, per) == 0 {
			all = append(all, row{first: i + 1, from: w.Time, to: w.Time})
		}
		r := &all[len(all)-1]
		r.last, r.nodes, r.failures = i+1, r.nodes+len(w.Nodes), r.failures+w.Failures
		end := w.Done.Time
		if w.Done.Seq == 0 || w.Done.Seq > p.Until.Seq {
			end, r.open = p.Until.Time, true
		}
		if end.After(r.to) {
			r.to = end
		}
	}
	return all
}

// gantt draws a row a wave: from its plan until all of its nodes are ready.
func (p *picture) gantt() {
	rows := p.rows()
	if len(rows) == 0 {
		p.printf("<text x=\"%d\" y=\"%d\" fill=\"%s\">no wave has begun</text>\n", left, p.y+12, soft)
		p.y += 20
		return
	}
	tall := float64(min(tallRow, max(3, ganttMax/len(rows))))
	p.grid(p.y, int(tall*float64(len(rows))))
	every := max(1, int(14/tall+0.99))
	for i, r := range rows {
		y := float64(p.y) + tall*float64(i)
		name := fmt.Sprintf("wave %d", r.first)
		if r.last > r.first {
			name = fmt.Sprintf("waves %d–%d", r.first, r.last)
		}
		colour, says := fillDone, fmt.Sprintf(", %s", r.to.Sub(r.from).Round(time.Millisecond))
		switch {
		case r.failures > 0:
			colour, says = fillFailed, fmt.Sprintf(", ✕ %s%s", counted(r.failures, "failure"), says)
		case r.open:
			colour, says = fillOpen, ", ◔ not all ready"
		}
		if i%every == 0 {
			p.printf("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"%s\">%s</text>\n", left-8, y+min(tall, 14)-2, soft, name)
		}
		x, to := p.x(r.from), p.x(r.to)
		p.printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%s: %s%s</title></rect>\n", x, y+tall/8, max(1.5, to-x), tall*3/4, colour, name, counted(r.nodes, "node"), says)
		if tall >= 14 {
			p.beside(x, to, y+tall-5, counted(r.nodes, "node")+says, colour)
		}
	}
	p.y += int(tall * float64(len(rows)))
}

// beside writes what a bar says on the side where there is room, or in it.
func (p *picture) beside(from, to, y float64, says, colour string) {
	switch w := letter * float64(len([]rune(says))); {
	case to+6+w < width:
		p.printf("<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", to+6, y, says)
	case from-6-w > left:
		p.printf("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", from-6, y, says)
	case colour == fillFailed:
		p.printf("<text x=\"%.1f\" y=\"%.1f\" fill=\"#ffffff\">%s</text>\n", from+6, y, says)
	default:
		p.printf("<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", from+6, y, says)
	}
}

// grid draws the lines of a scale of time, and the times since the start under them.
func (p *picture) grid(y, tall int) {
	step := stepOf(p.took())
	for t := time.Duration(0); t <= p.took(); t += step {
		x := p.x(p.Rollout.Start.Time.Add(t))
		p.printf("<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\"/>\n", x, y, x, y+tall, rule)
		anchor, half := "middle", letter*float64(len(t.String())+1)/2
		if x+half > width {
			x, anchor = width-2, "end"
		}
		p.printf("<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\" fill=\"%s\" font-size=\"11\">+%s</text>\n", x, y+tall+14, anchor, soft, t)
	}
}

// steps are the distances that a scale of time may have.
var steps = []time.Duration{time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// stepOf returns the least step of which a time has at most nine.
func stepOf(all time.Duration) time.Duration {
	for _, s := range steps {
		if all/s <= 9 {
			return s
		}
	}
	return all / 9
}

// area draws the nodes without an available pod over time, by why, one on the other.
func (p *picture) area() {
	p.printf("<text x=\"20\" y=\"%d\" font-weight=\"600\">Nodes without an available pod, by why</text>\n", p.y)
	p.y += 14
	p.grid(p.y, areaTall)
	peak := 1
	for _, s := range p.Samples {
		peak = max(peak, s.sum())
	}
	limit := p.Rollout.Limits.MaxUnavailable
	top := float64(max(peak, limit))
	at := func(n int) float64 { return float64(p.y) + areaTall*(1-float64(n)/top) }
	columns := p.columns()
	below := make([]int, len(columns))
	for _, cause := range stacked {
		over, some := slices.Clone(below), false
		for i, s := range columns {
			over[i] += s.Nodes[cause]
			some = some || s.Nodes[cause] > 0
		}
		if some {
			p.band(columns, below, over, at, cause)
		}
		below = over
	}
	for _, n := range []int{0, peak} {
		p.printf("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"%s\">%d</text>\n", left-8, at(n)+4, soft, n)
	}
	if limit > 0 {
		p.printf("<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"%s\" stroke-dasharray=\"5 4\"/>\n", left, at(limit), left+inner, at(limit), ink)
		p.printf("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">max %d</text>\n", left+inner, at(limit)-4, limit)
	}
	p.y += areaTall + 36
}

// column is what is drawn of one pixel.
type column struct {
	x     float64
	Nodes []int
}

// columns are the samples, and of those in one pixel the one with the most nodes.
func (p *picture) columns() (all []column) {
	most := 0
	for _, s := range p.Samples {
		x := float64(int(p.x(s.Time)))
		if n := len(all); n > 0 && all[n-1].x == x {
			if s.sum() < most {
				continue
			}
			all = all[:n-1]
		}
		all, most = append(all, column{x, s.Nodes}), s.sum()
	}
	return all
}

// band draws one cause, between what is below it and what it adds to that.
func (p *picture) band(columns []column, below, over []int, at func(int) float64, cause int) {
	p.printf("<path fill=\"%s\" d=\"", fill[cause])
	end := func(i int) float64 {
		if i+1 < len(columns) {
			return columns[i+1].x
		}
		return left + inner
	}
	for i, c := range columns {
		p.printf("%s%.0f %.1fH%.0f", string("ML"[min(i, 1)]), c.x, at(over[i]), end(i))
	}
	for i := len(columns) - 1; i >= 0; i-- {
		p.printf("L%.0f %.1fH%.0f", end(i), at(below[i]), columns[i].x)
	}
	p.printf("Z\"><title>%s</title></path>\n", p.Causes[cause])
}

// legend says which colour is which cause, and how many nodes at most it was of.
func (p *picture) legend() {
	x := left
	for _, cause := range stacked {
		most := 0
		for _, s := range p.Samples {
			most = max(most, s.Nodes[cause])
		}
		if most == 0 {
			continue
		}
		says := fmt.Sprintf("%s (at most %d)", p.Causes[cause], most)
		if wide := 24 + 7*len(says); x+wide > width && x > left {
			x = left
			p.y += 20
		}
		p.printf("<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n", x, p.y-10, fill[cause], x+18, p.y, says)
		x += 24 + 7*len(says)
	}
	if x == left {
		p.printf("<text x=\"%d\" y=\"%d\" fill=\"%s\">every node had an available pod all the time</text>\n", left, p.y, soft)
	}
	p.y += 20
}
