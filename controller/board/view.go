package board

import (
	"cmp"
	"fmt"
	"slices"

	"rollcall/controller/grid"
	"rollcall/controller/player"
)

// View is what somebody has chosen to see of a board.
type View struct {
	Mode    string // LIVE, PAUSED or AT: whether the board is of now
	Cluster string
	Chosen  int // DaemonSet whose nodes are shown
	By      By
	Group   string // label by which the marks of nodes are grouped; empty: by none
	Paused  bool
	Help    bool
	Keys    bool     // there are keys
	Tail    []string // the last changes, told
}

// By is what the marks of nodes say.
type By int

// What marks can say.
const (
	ByPhase By = iota
	ByCause
	ByRevision
	kindsOfBy
)

// Kinds are the names of what marks can say, in order.
var Kinds = []string{"phase", "cause", "revision"}

var help = []string{
	"",
	"up, down       the DaemonSet before, after: its nodes are shown",
	"left, right    what the marks say: phase, why there is no available pod, revision",
	"g              groups of nodes: by one of their labels after the other, or none",
	"space          hold the picture; go on",
	"?              these lines; any key ends them",
	"q              leave, as Ctrl-C does",
}

// Press takes a key, and reports whether somebody leaves.
func (v *View) Press(k player.Key, b *Board) (leave bool) {
	if k == "q" || k == player.Interrupt {
		return true
	}
	if v.Help {
		v.Help = false
		return false
	}
	switch k {
	case player.Up, "k":
		v.Chosen = max(0, v.Chosen-1)
	case player.Down, "j":
		v.Chosen = max(0, min(len(b.Sets)-1, v.Chosen+1))
	case player.Left:
		v.By = (v.By + kindsOfBy - 1) % kindsOfBy
	case player.Right:
		v.By = (v.By + 1) % kindsOfBy
	case "g":
		v.Group = b.after(v.Group)
	case " ":
		v.Paused = !v.Paused
	case "?":
		v.Help = true
	}
	return false
}

// after returns the key of the label that groups nodes after those of another.
func (b *Board) after(key string) string {
	next := 0
	if l := b.Label(key); l != nil {
		next = 1 + slices.IndexFunc(b.Labels, func(x grid.Label) bool { return x.Key == l.Key })
	}
	if next == len(b.Labels) {
		return ""
	}
	return b.Labels[next].Key
}

// worst returns the mark of several cells.
func (by By) worst(cells []byte) mark {
	best, at := least+1, cells[:grid.CellBytes]
	for i := 0; i < len(cells); i += grid.CellBytes {
		c := cells[i : i+grid.CellBytes]
		if rank := by.rank(c); rank < best {
			best, at = rank, c
		}
	}
	return by.mark(at)
}

// least is the rank of a cell of which there is nothing to say.
const least = 256

// rank orders cells: the lowest is the worst.
func (by By) rank(c []byte) int {
	switch {
	case by == ByCause && c[0]>>4 == 0:
		return least
	case by == ByCause:
		return int(c[0] >> 4)
	case by == ByRevision && c[1] == 0:
		return least
	case by == ByRevision:
		return int(c[1]) // the oldest before the others
	}
	return slices.Index(badness, grid.Phase(c[0]&15))
}

func (by By) mark(c []byte) mark {
	switch {
	case by == ByCause:
		return causeMarks[c[0]>>4]
	case by == ByRevision && c[1] == 0:
		return mark{"·", "90"}
	case by == ByRevision:
		return mark{string("0123456789abcdefghijklmnopqrstuvwxyz"[c[1]%36]), revisionColours[int(c[1])%len(revisionColours)]}
	}
	return phaseMarks[c[0]&15]
}

// entry is one mark of a legend.
type entry struct {
	mark
	text string
	n    int
	rank int
}

// entries are the marks that cells have, the worst first: there may be room for some
// only.
func (by By) entries(cells []byte) (all []entry) {
	var n [256]int
	for i := 0; i < len(cells); i += grid.CellBytes {
		n[by.value(cells[i:])]++
	}
	for v, count := range n {
		if count > 0 {
			all = append(all, entry{by.mark(by.cell(byte(v))), by.says(v), count, by.rank(by.cell(byte(v)))})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.rank, b.rank) })
	return all
}

// value is what a cell has of what marks say, and cell a cell that has it.
func (by By) value(c []byte) byte {
	switch by {
	case ByCause:
		return c[0] >> 4
	case ByRevision:
		return c[1]
	}
	return c[0] & 15
}

func (by By) cell(v byte) []byte {
	switch by {
	case ByCause:
		return []byte{v << 4, 0}
	case ByRevision:
		return []byte{0, v}
	}
	return []byte{v, 0}
}

func (by By) says(v int) string {
	switch {
	case by == ByCause && v == 0:
		return "available, or not wanted"
	case by == ByCause:
		return grid.Causes[v]
	case by == ByRevision && v == 0:
		return "no pod"
	case by == ByRevision:
		return fmt.Sprintf("revision %d", v)
	}
	return grid.Phases[v]
}
