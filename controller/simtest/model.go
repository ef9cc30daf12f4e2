package simtest

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// model is what the oracle makes of a log up to a position.
type model struct {
	seq         events.Seq
	now         time.Time
	planned     time.Time // the latest time at which a plan was decided, which may be ahead of log time
	nodes       map[string]*corev1.Node
	pods        map[events.Key]*podModel
	keys        []events.Key            // of pods, in order
	sets        map[types.UID]*setModel // also deleted ones
	named       map[events.Key]*setModel
	revs        map[events.Key]*revisionModel
	cmds        map[events.Cause]*commandModel
	open        []*commandModel // not answered, by cause
	made        map[types.UID]events.Cause
	disruptions map[events.Cause]int // by command of a judged plan: its maxUnavailable
	holds       map[string]events.Hold
}

type podModel struct {
	*corev1.Pod
	key     events.Key
	owner   types.UID
	cell    cellKey
	since   time.Time // ready since, in log time; zero: it is not ready
	genuine bool      // a command made the pod, and its DaemonSet has owned and selected it ever since
}

type cellKey struct {
	node string
	uid  types.UID
}

type setModel struct {
	*appsv1.DaemonSet
	key       events.Key
	gone      bool
	surged    bool // it has been surging at some time
	template  string
	plan      events.Seq // its last
	fails     map[cellKey]*failures
	disrupted map[cellKey]int // cells that disruptions left without an available pod, with the maxUnavailable of the plan
}

// failures are those of one cell in a row.
type failures struct {
	n  int
	at time.Time
}

type revisionModel struct {
	owner          types.UID
	hash, template string
}

type commandModel struct {
	events.Command
	cause   events.Cause
	set     types.UID
	answers int
	limit   int // maxUnavailable of its plan, if it is a disruption; else 0
}

func newModel() *model {
	return &model{nodes: map[string]*corev1.Node{}, pods: map[events.Key]*podModel{}, sets: map[types.UID]*setModel{},
		named: map[events.Key]*setModel{}, revs: map[events.Key]*revisionModel{},
		cmds: map[events.Cause]*commandModel{}, made: map[types.UID]events.Cause{}, disruptions: map[events.Cause]int{}, holds: map[string]events.Hold{}}
}

func (b *model) take(e entry) {
	b.seq, b.now = e.Seq, e.time
	switch o := e.Body.(type) {
	case events.Object:
		b.takeObject(e, o)
	case events.Gone:
		b.takeGone(o)
	case *events.Plan:
		b.takePlan(e, o)
	case events.Hold:
		b.holds[o.Name] = o
	case events.Lifted:
		delete(b.holds, o.Name)
	case events.Outcome:
		if o.Command.Do == events.CreatePod && b.sets[o.Owner.UID] != nil { // refused or overtaken
			b.sets[o.Owner.UID].failed(cellKey{o.Command.Node, o.Command.NodeUID}, e.time)
		}
	}
	if c := b.cmds[e.Cause]; c != nil {
		c.answers++
		b.open = slices.DeleteFunc(b.open, func(x *commandModel) bool { return x == c })
	}
}

func (b *model) takeObject(e entry, ref events.Object) {
	switch o := e.object.(type) {
	case *corev1.Node:
		b.nodes[o.Name] = o
		for _, k := range b.keys {
			if p := b.pods[k]; p.cell == (cellKey{node: o.Name}) {
				p.cell.uid = o.UID
			}
		}
	case *corev1.Pod:
		b.takePod(e, ref.Key, o)
	case *appsv1.DaemonSet:
		s := b.sets[o.UID]
		if s == nil {
			s = &setModel{key: ref.Key, fails: map[cellKey]*failures{}}
			b.sets[o.UID] = s
		}
		b.named[ref.Key] = s
		s.DaemonSet = o
		s.surged = s.surged || surging(o)
		if m := templateOf(&o.Spec.Template); m != s.template {
			s.template = m
			clear(s.fails)
		}
	case *appsv1.ControllerRevision:
		r := &revisionModel{owner: ownerOf(o), hash: o.Labels[daemonpod.RevisionLabel]}
		if t, err := daemonpod.Template(o.Data.Raw); err == nil {
			r.template = templateOf(t)
		}
		b.revs[ref.Key] = r
	}
}

func (b *model) takePod(e entry, k events.Key, o *corev1.Pod) {
	was := b.pods[k]
	p := &podModel{Pod: o, key: k, owner: ownerOf(o)}
	node, _ := daemonpod.TargetNode(&o.Spec)
	if was != nil && was.UID == o.UID {
		p.cell, p.genuine = was.cell, was.genuine
	} else {
		was = nil
		p.cell = cellKey{node: node}
		if n := b.nodes[node]; n != nil {
			p.cell.uid = n.UID
		}
	}
	if c := b.cmds[e.Cause]; c != nil && c.Do == events.CreatePod {
		p.cell, p.genuine = cellKey{c.Node, c.NodeUID}, true
	}
	if s := b.sets[p.owner]; s == nil || !selects(s.DaemonSet, o) {
		p.genuine = false
	}
	if isReady(o) {
		p.since = e.time
		if was != nil && isReady(was.Pod) && o.Status.Conditions[0].LastTransitionTime.Equal(&was.Status.Conditions[0].LastTransitionTime) {
			p.since = was.since
		}
	}
	if s := b.sets[p.owner]; s != nil && was != nil && finished(o) && !finished(was.Pod) && !was.since.IsZero() &&
		e.time.Sub(was.since) >= 10*time.Minute {
		delete(s.fails, p.cell)
	}
	if i, found := slices.BinarySearchFunc(b.keys, k, events.Key.Compare); !found {
		b.keys = slices.Insert(b.keys, i, k)
	}
	b.pods[k] = p
}

func (b *model) takeGone(o events.Gone) {
	switch o.Kind {
	case events.Node:
		delete(b.nodes, o.Key.Name)
	case events.Pod:
		if i, found := slices.BinarySearchFunc(b.keys, o.Key, events.Key.Compare); found {
			b.keys = slices.Delete(b.keys, i, i+1)
		}
		delete(b.pods, o.Key)
	case events.DaemonSet:
		if s := b.named[o.Key]; s != nil {
			s.gone = true
			delete(b.named, o.Key)
		}
	case events.ControllerRevision:
		delete(b.revs, o.Key)
	}
}

func (b *model) takePlan(e entry, p *events.Plan) {
	b.planned = later(b.planned, p.Basis.Now)
	s := b.sets[p.Owner.UID]
	failed := map[cellKey]bool{}
	for i, c := range p.Commands {
		x := &commandModel{Command: c, cause: events.Cause{Seq: e.Seq, Index: i}, set: p.Owner.UID, limit: b.disruptions[events.Cause{Seq: e.Seq, Index: i}]}
		b.cmds[x.cause] = x
		b.open = append(b.open, x)
		if c.Do == events.CreatePod {
			b.made[c.UID] = x.cause
		}
		if k := (cellKey{c.Node, c.NodeUID}); s != nil && (c.Reason == events.FailedPod || c.Reason == events.Succeeded) && !failed[k] {
			failed[k] = true
			s.failed(k, p.Basis.Now)
		}
	}
	if s != nil {
		s.plan = e.Seq
	}
}

func (s *setModel) failed(k cellKey, at time.Time) {
	f := s.fails[k]
	if f == nil || at.Sub(f.at) > 30*time.Minute {
		f = &failures{}
		s.fails[k] = f
	}
	f.n++
	f.at = at
}

// deleting reports whether a DaemonSet is going or gone.
func (s *setModel) deleting() bool { return s.gone || s.DeletionTimestamp != nil }

// current are the hashes of the revisions that mean the present template.
func (b *model) current(s *setModel) map[string]bool {
	m := map[string]bool{}
	for _, k := range sortedKeys(b.revs, events.Key.Compare) {
		if r := b.revs[k]; r.owner == s.UID && r.template == s.template {
			m[r.hash] = true
		}
	}
	return m
}

// situation is one DaemonSet on one node.
type situation struct {
	cellKey
	place             place
	fresh, old        []*podModel // live ones of the current and of other revisions
	dead              []*podModel
	terminating, left int // pods that are being deleted, and pods that an open command deletes
	pods, owned       int
	creating          int
}

func (x *situation) live() []*podModel { return append(slices.Clone(x.fresh), x.old...) }

// situations returns those of a DaemonSet by node, of every node and of every
// pod that is or may become its own.
func (b *model) situations(s *setModel) []*situation {
	all := map[cellKey]*situation{}
	at := func(k cellKey) *situation {
		x := all[k]
		if x == nil {
			x = &situation{cellKey: k}
			if n := b.nodes[k.node]; n != nil && n.UID == k.uid {
				x.place = placeOf(s.DaemonSet, n)
			}
			all[k] = x
		}
		return x
	}
	for _, name := range sortedKeys(b.nodes, strings.Compare) {
		at(cellKey{name, b.nodes[name].UID})
	}
	leaving := map[types.UID]bool{}
	for _, c := range b.open {
		switch {
		case c.set != s.UID:
		case c.Do == events.CreatePod:
			at(cellKey{c.Node, c.NodeUID}).creating++
		case c.Do == events.DeletePod:
			leaving[c.UID] = true
		}
	}
	current := b.current(s)
	for _, k := range b.keys {
		if p := b.pods[k]; b.belongs(s, p) {
			at(p.cell).add(p, leaving[p.UID], current[p.Labels[daemonpod.RevisionLabel]])
		}
	}
	return inOrder(all)
}

// belongs reports whether p is one of s's pods, or about to be adopted.
func (b *model) belongs(s *setModel, p *podModel) bool {
	switch {
	case p.key.Namespace != s.key.Namespace || p.cell.node == "":
		return false
	case p.owner == s.UID:
		return s.deleting() || selects(s.DaemonSet, p.Pod)
	}
	return p.owner == "" && p.DeletionTimestamp == nil && !s.deleting() && selects(s.DaemonSet, p.Pod)
}

func (x *situation) add(p *podModel, leaving, current bool) {
	if finished(p.Pod) && p.DeletionTimestamp != nil && x.place != nowhere {
		return // somebody else ends it, and nobody waits for that
	}
	x.pods++
	if p.owner != "" {
		x.owned++
	}
	switch {
	case p.DeletionTimestamp != nil:
		x.terminating++
	case leaving:
		x.left++
	case finished(p.Pod):
		x.dead = append(x.dead, p)
	case current:
		x.fresh = append(x.fresh, p)
	default:
		x.old = append(x.old, p)
	}
}

func inOrder(all map[cellKey]*situation) []*situation {
	keys := sortedKeys(all, func(a, b cellKey) int {
		if c := strings.Compare(a.node, b.node); c != 0 {
			return c
		}
		return strings.Compare(string(a.uid), string(b.uid))
	})
	out := make([]*situation, len(keys))
	for i, k := range keys {
		out[i] = all[k]
		slices.SortFunc(out[i].fresh, seniority)
		slices.SortFunc(out[i].old, seniority)
	}
	return out
}

// seniority: bound first, then older, then smaller name.
func seniority(a, b *podModel) int {
	switch {
	case a.Spec.NodeName != "" && b.Spec.NodeName == "":
		return -1
	case a.Spec.NodeName == "" && b.Spec.NodeName != "":
		return 1
	}
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// available reports whether a live pod is available at a time.
func (s *setModel) available(p *podModel, now time.Time) bool {
	return !p.since.IsZero() && now.Sub(p.since) >= time.Duration(s.Spec.MinReadySeconds)*time.Second
}

func (s *setModel) anyAvailable(ps []*podModel, now time.Time) bool {
	return slices.ContainsFunc(ps, func(p *podModel) bool { return s.available(p, now) })
}
