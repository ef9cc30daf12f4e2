package invariant

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/projector/sets"
)

// all are the invariants by name.
var all = []Invariant{
	{Name: "S1", Says: "a node has one live pod of a DaemonSet, made or being made; surging two, one of each revision", command: onePod, after: true},
	{Name: "S2", Says: "without surge a pod is created only on a node that has none", command: onEmptyNode},
	{Name: "S3", Says: "a pod is created only on a node that should run one", command: wherePodsRun},
	{Name: "S4", Says: "a pod is deleted once, for a reason that is true", command: reasonHolds},
	{Name: "S7", Says: "a command names only pods of its DaemonSet; it adopts pods without an owner", command: ownPods},
	{Name: "S8", Says: "a DaemonSet that is deleted gets no pod", command: notDeleted},
	{Name: "S9", Says: "a pod is created only on a node that is there", command: nodeIsThere},
	{Name: "S10", Says: "no pod is made twice", command: madeOnce},
	{Name: "S11", Says: "of several pods on a node one is left", command: oneIsLeft},
	{Name: "budget", Says: "a rollout takes no more available pods than maxUnavailable allows", plan: insideBudget},
	{Name: "hold", Says: "a rollout takes no step on what is held from outside", command: notHeld},
}

func onePod(p *planned, c *command) string {
	if c.Do != events.CreatePod || p.ds == nil || p.ds.Selector == nil {
		return ""
	}
	cell, revisions, pods := c.cell, map[string]int{}, 0
	count := func(revision string) {
		revisions[revision]++
		pods++
	}
	for _, pod := range cell.Pods {
		if pod.OwnerUID == p.ds.UID && !pod.Deleting && !pod.Terminal() && p.ds.Selector.Matches(labels.Set(pod.Labels())) && p.w.hasMade(pod.UID) {
			count(pod.Revision)
		}
	}
	for _, under := range cell.Pending {
		if under.Do == events.CreatePod {
			count(under.Revision)
		}
	}
	limit := 1
	if p.w.hasSurged(p.ds.UID) {
		limit = 2
	}
	if pods > limit || revisions[c.Revision] > 1 {
		return fmt.Sprintf("%d pods of %s on %s, %d of them of revision %s", pods, p.Owner.Key, c.Node, revisions[c.Revision], c.Revision)
	}
	return ""
}

func onEmptyNode(p *planned, c *command) string {
	if c.Do != events.CreatePod || p.ds == nil || p.ds.Surge {
		return ""
	}
	if n := len(c.cell.Pods); n > 0 {
		return fmt.Sprintf("creates %s on %s, where %d are", c.Name, c.Node, n)
	}
	return ""
}

func wherePodsRun(p *planned, c *command) string {
	if c.Do != events.CreatePod {
		return ""
	}
	if place := c.cell.Place; place != sets.Run {
		return fmt.Sprintf("creates %s on %s, whose place is %s", c.Name, c.Node, place)
	}
	return ""
}

func reasonHolds(p *planned, c *command) string {
	if c.Do != events.DeletePod || p.ds == nil {
		return ""
	}
	pod := c.pod
	if pod == nil {
		return "" // S7 says so
	}
	cell, deleting := c.cell, p.ds.Deleting()
	if cell.Leaving(c.UID) {
		return fmt.Sprintf("deletes %s, which is being deleted", c.Name)
	}
	holds := true
	switch c.Reason {
	case events.NodeGone:
		holds = cell.Place == sets.Gone && !deleting
	case events.OwnerGone:
		holds = deleting
	case events.NotWanted:
		holds = cell.Place == sets.Evict && !p.ds.Settings.Suspended && !deleting
	case events.Suspended:
		holds = cell.Place == sets.Evict && p.ds.Settings.Suspended && !deleting
	case events.FailedPod, events.Succeeded:
		holds = string(pod.Phase) == string(c.Reason)
	case events.Rollout, events.SurgeDone:
		holds = !p.ds.IsNew(&pod.PodView) && cell.Place >= sets.Keep
	case events.Duplicate:
		holds = len(cell.Pods) > 1
	}
	if !holds {
		return fmt.Sprintf("deletes %s on %s for %s, which is not so", c.Name, c.Node, c.Reason)
	}
	return ""
}

func ownPods(p *planned, c *command) string {
	if c.Do == events.CreatePod {
		return ""
	}
	pod, owner := c.pod, p.Owner.UID
	switch {
	case pod == nil:
		return fmt.Sprintf("%s names %s, which is not there", c.Do, c.Name)
	case c.Do == events.AdoptPod:
		owner = ""
	}
	if pod.OwnerUID != owner {
		return fmt.Sprintf("%s names %s of owner %q", c.Do, c.Name, pod.OwnerUID)
	}
	return ""
}

func notDeleted(p *planned, c *command) string {
	if c.Do == events.CreatePod && (p.ds == nil || p.ds.Deleting()) {
		return fmt.Sprintf("creates %s for a DaemonSet that is deleted", c.Name)
	}
	return ""
}

func nodeIsThere(p *planned, c *command) string {
	if c.Do != events.CreatePod {
		return ""
	}
	if n := p.s.Node(c.Node); n == nil || n.UID != c.NodeUID {
		return fmt.Sprintf("creates %s on %s (%s), which is not there", c.Name, c.Node, c.NodeUID)
	}
	return ""
}

func madeOnce(p *planned, c *command) string {
	if c.Do != events.CreatePod {
		return ""
	}
	if at, twice := p.w.made[c.UID]; twice {
		return fmt.Sprintf("creates %s again, which #%d[%d] creates", c.Name, at.Seq, at.Index)
	}
	return ""
}

func oneIsLeft(p *planned, c *command) string {
	if c.Reason != events.Duplicate {
		return ""
	}
	deleted := map[events.Key]bool{}
	for _, other := range p.Commands {
		if other.Do == events.DeletePod && other.Node == c.Node && other.Reason == events.Duplicate {
			deleted[other.Key] = true
		}
	}
	cell := c.cell
	for _, pod := range cell.Pods {
		if !pod.Deleting && !pod.Terminal() && !cell.Leaving(pod.UID) && !deleted[pod.Key] {
			return ""
		}
	}
	return fmt.Sprintf("deletes every pod on %s as a duplicate", c.Node)
}

// insideBudget counts the available pods that a plan takes from nodes which
// should run one or keep one.
func insideBudget(p *planned) string {
	if p.ds == nil || p.ds.Surge || p.ds.Deleting() {
		return ""
	}
	taken := 0
	for i := range p.commands {
		if c := &p.commands[i]; c.Reason == events.Rollout && c.pod != nil && p.available(c.pod) {
			taken++
		}
	}
	if taken == 0 {
		return ""
	}
	limit := 1
	if most := p.maxUnavailable(); most != nil {
		n, err := intstr.GetScaledValueFromIntOrPercent(most, p.ds.Counts.Desired, true)
		if limit = n; err != nil || n == 0 && p.ds.Counts.Desired > 0 {
			limit = 1
		}
	}
	// Log time knows of most that are available: only few plans need a count.
	if taken <= limit-(p.ds.Counts.Desired-p.ds.Counts.Available) {
		return ""
	}
	unavailable := p.unavailable()
	if free := max(0, limit-unavailable); taken > free {
		return fmt.Sprintf("takes %d available pods with %d of %d nodes unavailable, and %d may be", taken, unavailable, p.ds.Counts.Desired, limit)
	}
	return ""
}

// maxUnavailable is that of the update strategy, or where the cluster's own controller
// makes the pods that of the annotation; nil: it is not said.
func (p *planned) maxUnavailable() *intstr.IntOrString {
	if c := p.s.Charter(); c != nil && c.Mode == events.Rollouts {
		return p.ds.Settings.Rollout
	}
	if u := p.ds.Spec.UpdateStrategy.RollingUpdate; u != nil {
		return u.MaxUnavailable
	}
	return nil
}

func (p *planned) available(pod *sets.Pod) bool {
	from := p.ds.AvailableFrom(pod)
	return !from.IsZero() && !from.After(p.Basis.Now)
}

// unavailable counts the nodes that should run a pod and have no available one,
// but for those that are not ready, as many as the DaemonSet lets off.
func (p *planned) unavailable() int {
	n := -min(p.ds.Settings.Lost, p.ds.Counts.Lost)
	for _, cell := range p.ds.AllCells() {
		if cell.Place != sets.Run {
			continue
		}
		some := false
		s := p.ds.Survey(cell, nil)
		for _, pod := range append(s.New, s.Old...) {
			some = some || p.available(pod)
		}
		if !some {
			n++
		}
	}
	return n
}

// notHeld asks every hold that stands, and not what the fold keeps of them with
// DaemonSets and cells.
func notHeld(p *planned, c *command) string {
	if p.ds == nil || c.Reason != events.Rollout && c.Reason != events.Surge {
		return ""
	}
	node := p.s.Node(c.Node)
	for _, h := range p.s.Holds() {
		if h.Stands(p.Basis.Now) && h.Of(p.ds) && (!h.OfNodes() || node != nil && h.On(node.NodeView)) {
			return fmt.Sprintf("%s %s on %s, which %s holds until %s", c.Do, c.Name, c.Node, h.ID(), h.Until)
		}
	}
	return ""
}
