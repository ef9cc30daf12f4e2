package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Rule is what holds a node back. What holds a plan back is also a rule, under
// the name that events.Held has for it.
type Rule string

// The rules that no plan tells of, because they do not pass while a rollout
// goes on.
const (
	RuleNotThere  Rule = "notThere"  // there is no DaemonSet of that name
	RuleMode      Rule = "mode"      // the charter lets nothing be planned for it
	RuleScope     Rule = "scope"     // the DaemonSet is not in the scope of the charter
	RuleDeleted   Rule = "deleted"   // the DaemonSet is being deleted
	RuleSelector  Rule = "selector"  // the DaemonSet's selector claims no pod
	RuleRevision  Rule = "revision"  // the present template has no revision yet
	RuleSuspended Rule = "suspended" // rollcall/suspend
	RuleNodeName  Rule = "nodeName"  // the template names another node
	RuleLabels    Rule = "labels"    // node selector or affinity does not match the node's labels
	RuleTaint     Rule = "taint"     // a taint of the node is not tolerated
	RuleOnDelete  Rule = "onDelete"  // the update strategy replaces no pod
	RuleNotReady  Rule = "notReady"  // the new pod beside the old one is not ready
	RuleMinReady  Rule = "minReady"  // the new pod beside the old one is not ready for long enough
	RuleAvailable Rule = "available" // surging: too few nodes are available without the old pod, which gets no new one
)

// Blocker is a rule that keeps a node from its next step. Without it the node
// would get a command, or the next rule would hold the node back.
type Blocker struct {
	Rule    Rule
	Node    string // empty: every node
	NodeUID types.UID
	Says    string     // the taint, the setting, or who it was; empty: the rule says it all
	Until   time.Time  // when it passes by itself; zero: not by time alone
	Placed  events.Seq // of a hold: where it was placed; else 0
	Used    int        // of the budget or the commands of a plan; failures in a row of a backoff
	Limit   int        // the budget, or the commands of a plan
	Holders []Holder   // who uses the budget, or has not gone yet
}

// Holder is a node, and the pod on it, that somebody else waits for.
type Holder struct {
	Node string
	Pod  events.Key // zero: there is none
	Seq  events.Seq // of the last fact about the pod, else 0
}

// Trace is the account of one decision: what holds back every node that gets no
// command and is not as it should be. The deciding functions fill it.
type Trace struct {
	Blockers []Blocker // in the order in which the rules were asked

	budget *Blocker // the budget of the rollout, and who uses it
	about  *About   // nil: all
}

// About is what alone is asked about a decision: whether some rules hold back a
// node, or any.
type About struct {
	Rules []Rule // nil: any
	Node  string // empty: any
}

// Explain is Reconcile with the trace of its decision.
func Explain(s *projector.State, key events.Key, now time.Time) (Result, *Trace) {
	t := &Trace{}
	return reconcile(s, key, now, t), t
}

// Holding returns what Explain says of some rules alone, the commands that are due as
// Due has them, and until when that is so if nothing happens; zero: for ever. It is for
// who asks after every event: of each rule, and of each thing that it says, one node is
// named, without who uses what is waited for.
func Holding(s *projector.State, key events.Key, now time.Time, of About) ([]Blocker, []events.Command, time.Time) {
	t := &Trace{about: &of}
	r := decider{s: s, now: now, trace: t, brief: true}.reconcile(key)
	if r.Plan == nil {
		return t.Blockers, nil, r.RequeueAt
	}
	return t.Blockers, r.Plan.Commands, r.RequeueAt
}

// asks reports whether somebody asks about one of some rules.
func (t *Trace) asks(rules ...Rule) bool {
	return t != nil && (t.about == nil || t.about.Rules == nil || slices.ContainsFunc(rules, func(r Rule) bool { return slices.Contains(t.about.Rules, r) }))
}

// block notes that a rule holds a node back. Without a trace it does nothing. It
// reports whether the same of other nodes is to be noted too.
func (d *decider) block(c *sets.Cell, b Blocker) (more bool) {
	t := d.trace
	if !t.asks(b.Rule) {
		return false
	}
	if c != nil {
		b.Node, b.NodeUID = c.Node, c.NodeUID
	}
	if t.about == nil {
		t.Blockers = append(t.Blockers, b)
		return true
	}
	if c != nil && t.about.Node != "" && c.Node != t.about.Node {
		return true
	}
	if !slices.ContainsFunc(t.Blockers, func(o Blocker) bool { return o.Rule == b.Rule && o.Says == b.Says }) {
		t.Blockers = append(t.Blockers, b)
	}
	return false
}

// blockSets notes that a rule holds back the cells of sets of work.
func (d *decider) blockSets(b Blocker, ws ...sets.Work) {
	if !d.trace.asks(b.Rule) {
		return
	}
	more := true
	for _, w := range ws {
		if more {
			d.cells(w, func(c *sets.Cell) bool {
				more = d.block(c, b)
				return more
			})
		}
	}
}

// blockRest notes that the limit of a plan holds back the cells of a set of work
// but for the first few.
func (d *decider) blockRest(w sets.Work, done int) {
	b := Blocker{Rule: Rule(events.HeldLimit), Used: events.MaxCommands, Limit: events.MaxCommands}
	if !d.trace.asks(b.Rule) {
		return
	}
	d.cells(w, func(c *sets.Cell) bool {
		done--
		return done >= 0 || d.block(c, b)
	})
}

// blockNodes notes which nodes may have no pod, or wait for a pod to come or to
// go.
func (d *decider) blockNodes() {
	if !d.trace.asks(RuleSuspended, RuleNodeName, RuleLabels, RuleTaint, Rule(events.HeldPending), Rule(events.HeldTerminating)) {
		return
	}
	about := d.trace.about
	for n := range d.s.Nodes() {
		if about != nil && about.Node != "" && n.Name != about.Node {
			continue
		}
		k := sets.CellKey{Node: n.Name, NodeUID: n.UID}
		if b := d.obstacle(n); b.Rule != "" {
			d.block(&sets.Cell{CellKey: k}, b)
			continue
		}
		switch c := d.ds.Cell(k); {
		case c.Creating():
			d.block(c, Blocker{Rule: Rule(events.HeldPending)})
		case c.Waiting():
			d.block(c, Blocker{Rule: Rule(events.HeldTerminating), Holders: holders(c)})
		}
	}
}

// Obstacle says why a node may have no pod of the DaemonSet of that name, as
// Explain does of every node; without a rule: it may.
func Obstacle(s *projector.State, key events.Key, n *sets.Node) Blocker {
	d := &decider{s: s, ds: s.DaemonSet(key)}
	if d.ds == nil {
		return Blocker{}
	}
	return d.obstacle(n)
}

// obstacle says why a node may have no pod, in the words of placement.
func (d *decider) obstacle(n *sets.Node) (b Blocker) {
	if d.ds.Settings.Suspended {
		return Blocker{Rule: RuleSuspended, Says: events.AnnotationSuspend}
	}
	switch o := d.ds.Obstacle(n); o.Rule {
	case sets.OtherNode:
		return Blocker{Rule: RuleNodeName, Says: d.ds.Spec.Template.Spec.NodeName}
	case sets.NotSelected:
		return Blocker{Rule: RuleLabels}
	case sets.Untolerated:
		return Blocker{Rule: RuleTaint, Says: taintText(o.Taint)}
	}
	return b
}

func taintText(t *corev1.Taint) string {
	if t.Value == "" {
		return fmt.Sprintf("%s:%s", t.Key, t.Effect)
	}
	return fmt.Sprintf("%s=%s:%s", t.Key, t.Value, t.Effect)
}

// holders returns the pods of a cell.
func holders(c *sets.Cell) (hs []Holder) {
	for _, p := range c.Pods {
		hs = append(hs, Holder{Node: c.Node, Pod: p.Key, Seq: events.Seq(p.Rev)})
	}
	return hs
}

// blockHeld notes what hold was told, with the numbers that it was decided by.
// The budget has a note of its own.
func (d *decider) blockHeld(c *sets.Cell, why events.Held, until time.Time) {
	if why == events.HeldBudget || !d.trace.asks(Rule(why)) {
		return
	}
	b := Blocker{Rule: Rule(why), Until: until}
	switch why {
	case events.HeldBackoff:
		b.Used = c.Failures
	case events.HeldLimit:
		b.Says = d.limitText()
	case events.HeldAltered:
		b.Says = d.ds.Guard.Altered
	case events.HeldPredecessor:
		for _, g := range d.s.DeletedSets(d.ds.Key) {
			if old := g.Cell(c.CellKey); old != nil {
				b.Holders = append(b.Holders, holders(old)...)
			}
		}
	}
	d.block(c, b)
}

// limitText says what limits the creates of a DaemonSet, as limitCreates has it.
func (d *decider) limitText() string {
	switch ds := d.ds; {
	case d.now.Before(refusedUntil(ds)):
		return "creates were refused"
	case ds.SlowStart > 0 && ds.SlowStart <= ds.Creating:
		return "slow start after a refusal"
	case ds.Settings.Rate > 0:
		return fmt.Sprintf("%s=%d", events.AnnotationRate, ds.Settings.Rate)
	}
	return "slow start after a refusal"
}

// blockPaused notes the pods that a pause leaves alone.
func (d *decider) blockPaused() {
	if d.trace != nil {
		d.blockOlder(Blocker{Rule: Rule(events.HeldPaused), Says: d.paused()})
	}
}

// blockStrategy notes the pods that an update strategy leaves alone.
func (d *decider) blockStrategy() { d.blockOlder(Blocker{Rule: RuleOnDelete}) }

// blockOlder notes that a rule leaves all pods of old revisions alone.
func (d *decider) blockOlder(b Blocker) {
	d.blockSets(b, sets.OldBroken, sets.OldYoung, sets.OldReady, sets.OldHeld, sets.OldWithheld, sets.OldKept)
}

// blockOld notes what holds back the old pods that are not among the victims:
// the budget as many as may be replaced, the partition the others.
func (d *decider) blockOld(chosen *victims, allowed int) {
	budget, partition := d.trace.asks(Rule(events.HeldBudget)), d.trace.asks(Rule(events.HeldPartition))
	if !budget && !partition {
		return
	}
	taken := map[*sets.Cell]bool{}
	for _, kind := range chosen.kinds() {
		for _, c := range kind {
			taken[c] = true
		}
	}
	left := allowed - len(taken)
	partition = partition && d.ds.Settings.Partition != nil
	for _, w := range [...]sets.Work{sets.OldBroken, sets.OldYoung, sets.OldReady} {
		d.cells(w, func(c *sets.Cell) bool {
			switch {
			case taken[c]:
			case left > 0:
				left--
				budget = budget && d.blockBudget(c)
			default:
				partition = partition && d.block(c, Blocker{Rule: Rule(events.HeldPartition), Says: events.AnnotationPartition + "=" + d.ds.Settings.Partition.String()})
			}
			return budget && left > 0 || partition
		})
	}
}

// blockBudget notes that the budget of the rollout holds a node back, as block does.
func (d *decider) blockBudget(c *sets.Cell) (more bool) {
	switch {
	case !d.trace.asks(Rule(events.HeldBudget)):
		return false
	case d.trace.about != nil:
		return d.block(c, Blocker{Rule: Rule(events.HeldBudget)})
	case d.trace.budget == nil:
		b := &Blocker{Rule: Rule(events.HeldBudget), Used: d.rollout.Unavailable, Limit: d.rollout.MaxUnavailable, Holders: d.budgetHolders()}
		if d.ds.Surge {
			b.Used, b.Limit = d.rollout.Surging, d.rollout.MaxSurge
		}
		d.trace.budget = b
	}
	return d.block(c, *d.trace.budget)
}

// budgetHolders returns who uses the budget: nodes without an available pod, or
// with an old and a new one.
func (d *decider) budgetHolders() (hs []Holder) {
	for _, c := range d.ds.AllCells() {
		uses := c.Surging()
		if !d.ds.Surge {
			uses = c.Place == sets.Run && !d.anyAvailable(c)
		}
		if !uses {
			continue
		}
		if of := holders(c); of != nil {
			hs = append(hs, of...)
		} else {
			hs = append(hs, Holder{Node: c.Node})
		}
	}
	return hs
}

func (d *decider) anyAvailable(c *sets.Cell) bool {
	s := d.ds.Survey(c, &d.survey)
	for _, live := range [2][]*sets.Pod{s.New, s.Old} {
		for _, p := range live {
			if d.isAvailable(p) {
				return true
			}
		}
	}
	return false
}

// String says who is held back by what, on one line.
func (b Blocker) String() string {
	text := string(b.Rule)
	if b.Node != "" {
		text = b.Node + ": " + text
	}
	if b.Says != "" {
		text += " " + b.Says
	}
	if b.Limit > 0 || b.Used > 0 {
		text += fmt.Sprintf(" %d of %d", b.Used, b.Limit)
	}
	var by []string
	for _, h := range b.Holders {
		by = append(by, h.Node)
	}
	if by != nil {
		text += " by " + strings.Join(by, ", ")
	}
	if !b.Until.IsZero() {
		text += " until " + b.Until.UTC().Format(time.RFC3339Nano)
	}
	return text
}
