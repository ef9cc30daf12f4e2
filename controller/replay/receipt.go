package replay

import (
	"context"
	"encoding/hex"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Receipt is what a rollout has come to. That of one that has ended follows from
// the events up to its end alone: it is the same whoever reads the log, and
// however much comes after.
type Receipt struct {
	Rollout *Rollout `json:"rollout"`
	AsOf    *Point   `json:"asOf,omitempty"` // nil: the rollout has ended; else how far it has come

	Updated int        `json:"updated"` // nodes with a ready pod of the template
	Failed  []Unserved `json:"failed"`  // by why their pod of the template is not ready
	Skipped []Unserved `json:"skipped"` // by what kept the template from them

	Checked *Checked `json:"checked"`    // its events against every invariant
	Names   []string `json:"invariants"` // those invariants

	Told *Notes `json:"told,omitempty"` // notes about the DaemonSet and holds of it; nil: there were none

	First       Point      `json:"first"`
	Last        Point      `json:"last"`
	Events      events.Seq `json:"events"`
	ChainBefore string     `json:"chainBefore"` // of the log, before the first event
	ChainAfter  string     `json:"chainAfter"`
	SHA256      string     `json:"sha256"` // chain.Seal over the events

	labels map[string]string // of the DaemonSet
}

// Unserved are nodes that are not as the template has it, for one reason.
type Unserved struct {
	Why   string   `json:"why"`
	Says  string   `json:"says,omitempty"` // the setting, the taint or the image
	Nodes []string `json:"nodes"`
}

// Receipt makes the receipt of a rollout.
func (l *Ledger) Receipt(ctx context.Context, r *Rollout) (*Receipt, error) {
	h := l.of
	side := Side{h, r}
	last := side.last()
	e, err := h.Event(ctx, last)
	if err != nil {
		return nil, err
	}
	own := *r
	own.RestartedAfter = 0
	x := &Receipt{Rollout: &own, First: r.Start, Last: Point{e.Seq, e.Stored}, Events: last - r.Start.Seq + 1, Failed: []Unserved{}, Skipped: []Unserved{}}
	if r.Ending == "" {
		x.AsOf = &x.Last
	}
	if err := h.outcome(ctx, x); err != nil {
		return nil, err
	}
	if err := h.seal(ctx, x); err != nil {
		return nil, err
	}
	for _, i := range l.judged.Invariants {
		x.Names = append(x.Names, i.Name)
	}
	x.Checked = &Checked{From: x.First.Seq, To: x.Last.Seq, Broken: []Broken{}}
	l.judged.between(x.Checked)
	return x, h.tell(ctx, x.Checked)
}

// outcome fills in what has become of the nodes. A rollout that was cut short is
// as the event before has left it.
func (h *History) outcome(ctx context.Context, x *Receipt) error {
	at := x.Last.Seq
	if end := x.Rollout.Ending; end == Superseded || end == Deleted {
		at--
	}
	s, err := h.At(ctx, at)
	if err != nil {
		return err
	}
	ds := s.DaemonSet(x.Rollout.DaemonSet)
	if ds == nil || ds.UID != x.Rollout.UID {
		return nil // it was gone before it ended: nobody can tell
	}
	x.labels = ds.Object.Labels
	_, trace := controller.Explain(s, ds.Key, s.Time())
	kept := map[string]controller.Blocker{}
	for _, b := range trace.Blockers {
		if _, known := kept[b.Node]; !known {
			kept[b.Node] = b
		}
	}
	served := map[string]bool{}
	for _, c := range ds.AllCells() {
		if news := ds.Survey(c, nil).New; c.Place == sets.Run && len(news) > 0 {
			served[c.Node] = true
			x.serve(c.Node, news)
		}
	}
	x.skip(s, kept, served)
	return nil
}

// serve notes a node that has pods of the template.
func (x *Receipt) serve(node string, pods []*sets.Pod) {
	for _, p := range pods {
		if p.Ready {
			x.Updated++
			return
		}
	}
	why, says := "the pod is not ready yet", ""
	if f := failureOf(pods[0]); f != "" {
		why, says = f, pods[0].Trouble().Image
	}
	x.Failed = unserved(x.Failed, why, says, node)
}

// skip notes the nodes that have no pod of the template.
func (x *Receipt) skip(s *projector.State, kept map[string]controller.Blocker, served map[string]bool) {
	for n := range s.Nodes() {
		if served[n.Name] {
			continue
		}
		b, ok := kept[n.Name]
		if !ok {
			b, ok = kept[""] // what holds back all
		}
		if !ok {
			b.Rule = NothingHeld
		}
		x.Skipped = unserved(x.Skipped, string(b.Rule), b.Says, n.Name)
	}
}

// NothingHeld stands for the rule where a command was due.
const NothingHeld controller.Rule = "due"

// unserved adds a node to those with the same reason.
func unserved(all []Unserved, why, says, node string) []Unserved {
	for i := range all {
		if all[i].Why == why && all[i].Says == says {
			all[i].Nodes = append(all[i].Nodes, node)
			return all
		}
	}
	return append(all, Unserved{why, says, []string{node}})
}

// seal fills in by what the events can be known again, and what was told in them.
func (h *History) seal(ctx context.Context, x *Receipt) error {
	before := x.First.Seq - 1
	s, err := h.At(ctx, before)
	if err != nil {
		return err
	}
	begun := s.Position()
	c, seal := chain.From(begun), chain.NewSeal()
	screen, err := s.Screen()
	if err != nil {
		return err
	}
	told := concerns{ds: x.Rollout.DaemonSet, labels: x.labels, others: map[events.Key]bool{}}
	for e, err := range h.log.Read(ctx, before) {
		if err != nil {
			return err
		}
		c.Take(e.Seq, e.Raw)
		told.take(screen.Take(e))
		if seal.Take(e); e.Seq == x.Last.Seq {
			break
		}
	}
	x.ChainBefore, x.ChainAfter, x.SHA256 = hex.EncodeToString(begun.Chain[:]), hex.EncodeToString(c.Chain[:]), hex.EncodeToString(seal.Sum())
	if len(told.notes.Steps) > 0 {
		x.Told = &told.notes
	}
	return nil
}
