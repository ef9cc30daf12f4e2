package scenario_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/sets"
)

// many is how many names are written out; of more the first and the last.
const many = 12

func names(all []string) string {
	if len(all) <= many {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s .. %s (%d)", strings.Join(all[:3], " "), all[len(all)-1], len(all))
}

// describe writes a decision out.
func (w *world) describe(res controller.Result) string { return w.decided(res) + w.heldText(res) }

// decided writes out what a decision wants to be appended. In brief it leaves
// out the arithmetic and the status.
func (w *world) decided(res controller.Result) string {
	var b strings.Builder
	if p := res.Plan; p != nil {
		if !w.brief {
			fmt.Fprintf(&b, "plan%s\n", w.budget(p))
		}
		for _, line := range w.commands(p.Commands) {
			if !w.brief {
				b.WriteString("  ")
			}
			b.WriteString(line + "\n")
		}
	}
	for _, wr := range res.Writes {
		b.WriteString(w.writeLine(wr))
	}
	if res.Status != nil && !w.brief {
		ds := res.Status.Object.(*appsv1.DaemonSet)
		b.WriteString(statusLine(&ds.Status))
	}
	return b.String()
}

// heldText writes out what waits.
func (w *world) heldText(res controller.Result) string {
	var b strings.Builder
	for _, h := range res.Held {
		fmt.Fprintf(&b, "held by %s: %d%s\n", h.For, h.Nodes, w.waits(res.Waiting, h.For))
	}
	return b.String()
}

// waiting writes out what waits, and when to look again if that is before the
// rollout would be called stalled.
func (w *world) waiting(k events.Key, res controller.Result) {
	w.out.WriteString(w.heldText(res))
	d := w.state.DaemonSet(k)
	if at := res.RequeueAt; !at.IsZero() && (d == nil || at.Before(d.Progress.Add(d.Settings.Deadline))) {
		w.printf("again in %s", at.Sub(w.now))
	}
}

// budget writes the arithmetic of a rollout, or as much of it as is not zero.
func (w *world) budget(p *events.Plan) string {
	r := p.Rollout
	text := ""
	if p.Revision != "" {
		text = " " + w.revNames[p.Revision]
	}
	if r.MaxUnavailable > 0 {
		text += fmt.Sprintf(": %d of %d updated, unavailable %d (max %d)", r.Updated, r.Desired, r.Unavailable, r.MaxUnavailable)
	}
	if r.MaxSurge > 0 {
		text += fmt.Sprintf(": %d of %d updated, unavailable %d, surging %d (max %d)", r.Updated, r.Desired, r.Unavailable, r.Surging, r.MaxSurge)
	}
	if r.Taken > 0 {
		text += fmt.Sprintf(", taking %d", r.Taken)
	}
	if r.Added > 0 {
		text += fmt.Sprintf(", adding %d", r.Added)
	}
	return text
}

// commands writes runs of equal verb and reason as one line.
func (w *world) commands(cs []events.Command) []string {
	var lines []string
	for len(cs) > 0 {
		n := 0
		var who []string
		for n < len(cs) && cs[n].Do == cs[0].Do && cs[n].Reason == cs[0].Reason {
			who = append(who, w.object(cs[n]))
			n++
		}
		verb := strings.ToLower(strings.TrimSuffix(string(cs[0].Do), "Pod"))
		lines = append(lines, fmt.Sprintf("%s %s %s", verb, cs[0].Reason, names(who)))
		cs = cs[n:]
	}
	return lines
}

// object names what a command is about: the node of a create, else the pod.
func (w *world) object(c events.Command) string {
	if c.Do == events.CreatePod {
		return c.Node
	}
	for uid, name := range w.podNames {
		if uid == c.UID {
			return name
		}
	}
	return c.Name
}

func (w *world) waits(all []events.Wait, why events.Held) string {
	var who []string
	for _, x := range all {
		if x.For != why {
			continue
		}
		text := x.Node
		if !x.Until.IsZero() {
			text += "(+" + x.Until.Sub(w.now).String() + ")"
		}
		who = append(who, text)
	}
	if len(who) == 0 {
		return ""
	}
	return " " + names(who)
}

func (w *world) writeLine(wr controller.Write) string {
	switch o := wr.Object.(type) {
	case *appsv1.ControllerRevision:
		owner := ""
		if len(o.OwnerReferences) == 0 {
			owner = " without owner"
		}
		return fmt.Sprintf("revision %s %s, number %d%s\n", cmp.Or(w.revNames[hashOf(o)], "new"), wr.Verb, o.Revision, owner)
	case *appsv1.DaemonSet:
		return fmt.Sprintf("daemonset %s %s\n", o.Name, wr.Verb)
	}
	return fmt.Sprintf("%s %s %s\n", wr.Kind, wr.Object.GetName(), wr.Verb)
}

// hashOf returns the hash of a revision, which is its name if it has none (M02).
func hashOf(r *appsv1.ControllerRevision) string {
	if h := r.Labels[daemonpod.RevisionLabel]; h != "" {
		return h
	}
	return r.Name
}

func statusLine(s *appsv1.DaemonSetStatus) string {
	text := fmt.Sprintf("status desired %d, current %d, updated %d, ready %d, available %d, unavailable %d, misscheduled %d, observed %d",
		s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.UpdatedNumberScheduled, s.NumberReady, s.NumberAvailable,
		s.NumberUnavailable, s.NumberMisscheduled, s.ObservedGeneration)
	if s.CollisionCount != nil {
		text += fmt.Sprintf(", collisions %d", *s.CollisionCount)
	}
	return text + "\n"
}

func (w *world) doReconcile(c *command) {
	res := controller.Reconcile(w.state, key(c.word(0)), w.now)
	text := w.describe(res)
	if text == "" {
		text = "nothing\n"
	}
	w.out.WriteString(text)
	if at := res.RequeueAt; !at.IsZero() {
		w.printf("again in %s", at.Sub(w.now))
	}
}

// daemonSet returns the DaemonSet of a command, a deleted one if there is no other.
func (w *world) daemonSet(c *command) *sets.DaemonSet {
	if d := w.state.DaemonSet(key(c.word(0))); d != nil {
		return d
	}
	if gs := w.state.DeletedSets(key(c.word(0))); len(gs) > 0 {
		return gs[0]
	}
	return nil
}

func (w *world) doStatus(c *command) {
	d := w.daemonSet(c)
	if d == nil {
		w.printf("no DaemonSet %s", c.word(0))
		return
	}
	w.out.WriteString(statusLine(&d.Object.Status))
}

func (w *world) doConditions(c *command) {
	for _, x := range w.daemonSet(c).Object.Status.Conditions {
		w.printf("%s=%s since %s %s: %s", x.Type, x.Status, x.LastTransitionTime.Sub(w.start), x.Reason, x.Message)
	}
}

func (w *world) doCounts(c *command) {
	d := w.daemonSet(c)
	if d == nil {
		w.printf("no DaemonSet %s", c.word(0))
		return
	}
	n := d.Counts
	w.printf("desired %d, scheduled %d, misscheduled %d, updated %d, ready %d, available %d, surging %d, waiting %d, spare %d; owned %d, creating %d",
		n.Desired, n.Scheduled, n.Misscheduled, n.Updated, n.Ready, n.Available, n.Surging, n.Waiting, n.Spare, d.Owned, d.Creating)
}

// doCells shows the cells of a DaemonSet.
func (w *world) doCells(c *command) {
	d := w.daemonSet(c)
	if d == nil {
		w.printf("no DaemonSet %s", c.word(0))
		return
	}
	for _, cell := range d.AllCells() {
		text := cell.Node
		if cell.Node == "" {
			text = "-"
		}
		if n := w.state.Node(cell.Node); cell.NodeUID != "" && (n == nil || n.UID != cell.NodeUID) {
			text += "(gone)"
		}
		text += " " + cell.Place.String()
		for _, p := range cell.Pods {
			text += " " + w.podText(p)
		}
		for _, x := range cell.Pending {
			text += " pending:" + strings.ToLower(strings.TrimSuffix(string(x.Do), "Pod"))
		}
		if cell.Failures > 0 {
			text += fmt.Sprintf(" failures %d", cell.Failures)
			if wait := controller.BackoffUntil(cell).Sub(w.now); wait >= 0 {
				text += fmt.Sprintf(" next in %s", wait)
			}
		}
		w.printf("%s", text)
	}
}

func (w *world) podText(p *sets.Pod) string {
	state := string(p.Phase)
	if !p.Bound {
		state += ",unbound"
	}
	if p.Ready {
		state += ",ready"
	}
	if p.Deleting {
		state += ",terminating"
	}
	if p.OwnerUID == "" {
		state += ",ownerless"
	}
	rev := w.revNames[p.Revision]
	if rev == "" {
		rev = "?"
	}
	return fmt.Sprintf("%s(%s %s)", w.nameOfPod(p.Key), rev, state)
}

func (w *world) doPods(*command) {
	var lines []string
	for p := range w.state.Pods() {
		lines = append(lines, w.podText(p)+" on "+p.Node)
	}
	slices.Sort(lines)
	for _, l := range lines {
		w.printf("%s", l)
	}
}

func (w *world) doRevisions(c *command) {
	var lines []string
	for _, o := range w.state.List(events.ControllerRevision, key(c.word(0)).Namespace) {
		r := w.state.Revision(o.Key)
		owner := "ownerless"
		if d := w.state.DaemonSet(key(c.word(0))); d != nil && r.OwnerUID == d.UID {
			owner = d.Key.Name
		} else if r.OwnerUID != "" {
			owner = string(r.OwnerUID)
		}
		lines = append(lines, fmt.Sprintf("%s number %d of %s", w.revNames[r.Hash], r.Number, owner))
	}
	slices.Sort(lines)
	for _, l := range lines {
		w.printf("%s", l)
	}
}

func (w *world) doQuarantine(*command) {
	n, list := w.state.Quarantined()
	w.printf("%d quarantined", n)
	for _, q := range list {
		w.printf("#%d %s %s", q.Seq, q.Code, q.Why)
	}
}

// doWoken shows which DaemonSets would be reconciled because of what was told since.
func (w *world) doWoken(*command) {
	var ks []string
	for k := range w.woken {
		ks = append(ks, k.Name)
	}
	slices.Sort(ks)
	clear(w.woken)
	if len(ks) == 0 {
		ks = []string{"nobody"}
	}
	w.printf("woken: %s", strings.Join(ks, " "))
}

func (w *world) doLog(*command) {
	for e, err := range w.log.Read(w.t.Context(), 0) {
		if err != nil {
			w.fatal("%v", err)
		}
		ref := events.RefOf(e)
		w.printf("#%d %s %s", e.Seq, e.Type, ref.Key)
	}
}

// doGarbage appends bytes that are no event.
func (w *world) doGarbage(*command) {
	w.log.AppendRaw(w.subjects.Object(events.Node, events.Key{Name: "garbage"}), []byte{0xc1})
	w.take()
}

// doNotices shows the Kubernetes events that the log gave since they were last shown.
func (w *world) doNotices(*command) {
	for _, n := range w.notices {
		text := n.Message
		for _, k := range w.everyPod {
			text = strings.ReplaceAll(text, k.name, k.called)
		}
		w.printf("%s %s %s: %s", n.Type, n.Reason, n.Object.Key, text)
	}
	w.notices = nil
}
