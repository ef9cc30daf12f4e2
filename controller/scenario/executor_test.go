package scenario_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
)

// maxSteps bounds how often one DaemonSet is reconciled before something else
// happens: one that never comes to rest writes for ever.
const maxSteps = 20

func (w *world) doSync(c *command) {
	for _, name := range c.words {
		w.sync(key(name))
	}
}

// sync reconciles and appends until there is nothing to append.
func (w *world) sync(k events.Key) {
	for i := 0; w.step(k); i++ {
		if i == maxSteps {
			w.fatal("%s does not come to rest: it has been reconciled %d times and still wants something\n%s", k, i, w.out.String())
		}
	}
	if !w.brief {
		w.waiting(k, controller.Reconcile(w.state, k, w.now))
	}
}

func (w *world) doStep(c *command) {
	k := key(c.word(0))
	w.step(k)
	w.waiting(k, controller.Reconcile(w.state, k, w.now))
}

// step is one round of the controller. What it appends it prints, and reports
// whether there was something.
func (w *world) step(k events.Key) bool {
	res := controller.Reconcile(w.state, k, w.now)
	for _, wr := range res.Writes {
		if r, ok := wr.Object.(*appsv1.ControllerRevision); ok {
			w.nameRevision(hashOf(r))
		}
	}
	w.out.WriteString(w.decided(res))
	if res.Plan != nil {
		e, x := controller.PlanEvent(res.Plan, w.subjects, w.state.LastPlan(k))
		w.append(x, e)
	}
	for _, wr := range res.Writes {
		w.write(wr)
	}
	if res.Status != nil {
		w.write(*res.Status)
	}
	return res.Plan != nil || len(res.Writes) > 0 || res.Status != nil
}

func (w *world) write(wr controller.Write) {
	e, x, err := wr.Event(w.subjects)
	if err != nil {
		w.fatal("%v", err)
	}
	w.append(x, e)
}

// chosen reports whether a command about a node is among those that an option names.
func chosen(opt, node string) bool {
	return opt == "" || slices.Contains(strings.Split(opt, ","), node)
}

// doExecute answers commands that are under way, in their order.
func (w *world) doExecute(c *command) {
	refuse := c.opt("refuse")
	quota, err := strconv.Atoi(c.opt("quota"))
	if err != nil {
		quota = -1
	}
	for _, o := range slices.Clone(w.orders) {
		if !chosen(c.opt("only"), o.command.Node) {
			continue
		}
		create := o.command.Do == events.CreatePod
		if create && (refuse == "all" || refuse != "" && chosen(refuse, o.command.Node) || quota == 0) {
			w.outcome(&o, events.Failed, "Forbidden")
			continue
		}
		if create && quota > 0 {
			quota--
		}
		w.execute(&o, c.opt("bind") == "false")
	}
	w.gather()
}

func (w *world) outcome(o *order, t events.Type, reason string) {
	w.answer(events.Event{Type: t, Body: events.Outcome{Owner: o.owner, Command: o.command, Reason: reason}}, o)
}

// execute carries one command out as a cluster does.
func (w *world) execute(o *order, unbound bool) {
	if o.command.Do == events.CreatePod {
		w.create(o, unbound)
		return
	}
	p := w.state.Pod(o.command.Key)
	if p == nil || p.UID != o.command.UID {
		w.outcome(o, events.Overtaken, "PodGone")
		return
	}
	pod := w.pod(p)
	switch o.command.Do {
	case events.DeletePod:
		w.end(o, pod)
	case events.AdoptPod:
		ds := w.state.DaemonSet(o.owner.Key)
		if ds == nil || ds.UID != o.owner.UID || ds.Deleting() || metav1.GetControllerOf(pod) != nil || pod.DeletionTimestamp != nil {
			w.outcome(o, events.Overtaken, "Owned")
			return
		}
		pod.OwnerReferences = append(pod.OwnerReferences, daemonpod.ControllerRef(ds.Object))
		w.tell(events.Pod, events.VerbUpdated, pod, o)
	case events.ReleasePod:
		pod.OwnerReferences = slices.DeleteFunc(pod.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == o.owner.UID })
		w.tell(events.Pod, events.VerbUpdated, pod, o)
	}
}

func (w *world) create(o *order, unbound bool) {
	d, n := w.state.DaemonSet(o.owner.Key), w.state.Node(o.command.Node)
	switch {
	case d == nil || d.UID != o.owner.UID || d.Deleting():
		w.outcome(o, events.Overtaken, "DaemonSetGone")
		return
	case n == nil || n.UID != o.command.NodeUID:
		w.outcome(o, events.Overtaken, "NodeGone")
		return
	}
	var rev *appsv1.ControllerRevision
	for _, r := range d.Revisions() {
		if r.Hash == o.command.Revision {
			rev = r.Object
		}
	}
	if rev == nil {
		w.outcome(o, events.Overtaken, "RevisionGone")
		return
	}
	t, err := daemonpod.Template(rev.Data.Raw)
	if err != nil {
		w.fatal("%v", err)
	}
	pod := daemonpod.New(d.Object, t, o.command, w.now)
	if !unbound {
		pod.Spec.NodeName = o.command.Node
	}
	w.tell(events.Pod, events.VerbCreated, pod, o)
}

// end deletes a pod: at once if no kubelet has it or will stop it.
func (w *world) end(o *order, pod *corev1.Pod) {
	n := w.state.Node(pod.Spec.NodeName)
	nobody := n == nil || o.command.NodeUID != "" && n.UID != o.command.NodeUID
	terminal := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch {
	case (nobody || terminal) && len(pod.Finalizers) == 0:
		w.gone(events.Pod, pod, o)
	case pod.DeletionTimestamp != nil:
		w.outcome(o, events.Overtaken, "Terminating")
	default:
		pod.DeletionTimestamp = &metav1.Time{Time: w.now.Add(30 * time.Second)}
		w.tell(events.Pod, events.VerbUpdated, pod, o)
	}
}

// doKubelet lets kubelets act: terminating pods end, new ones get ready.
func (w *world) doKubelet(c *command) { w.kubelet(c.opt("only"), c.word(0) == "gone") }

func (w *world) kubelet(only string, endOnly bool) {
	for p := range w.state.Pods() {
		n := w.state.Node(p.Node)
		if n == nil || n.UID != p.NodeUID || !chosen(only, p.Node) {
			continue
		}
		pod := w.pod(p)
		if p.Deleting {
			if len(pod.Finalizers) == 0 {
				w.gone(events.Pod, pod, nil)
			}
			continue
		}
		if endOnly || p.Terminal() || p.Ready || len(pod.Spec.Containers) == 0 {
			continue
		}
		image := pod.Spec.Containers[0].Image
		pod.Spec.NodeName = p.Node
		switch {
		case strings.HasPrefix(image, "fail"):
			w.alter(pod, "fail", nil)
		case !strings.HasPrefix(image, "bad"):
			w.alter(pod, "ready", nil)
		case pod.Status.Phase == corev1.PodRunning:
			continue
		default:
			pod.Status.Phase = corev1.PodRunning
		}
		w.tell(events.Pod, events.VerbUpdated, pod, nil)
	}
}

// doRun lets everybody act in turn until nothing happens, or for so many
// rounds. With no number of rounds time also passes to when something is due.
func (w *world) doRun(c *command) {
	rounds, step := 50, time.Second
	if s := c.word(0); s != "" {
		rounds = int(w.number(s))
	}
	if s := c.opt("step"); s != "" {
		var err error
		if step, err = time.ParseDuration(s); err != nil {
			w.fatal("%v", err)
		}
	}
	for i := range rounds {
		at := w.state.Seq()
		before := w.out.Len()
		w.brief = true
		for _, k := range w.names() {
			w.sync(k)
		}
		w.brief = false
		text := w.out.String()
		w.out.Reset()
		w.out.WriteString(text[:before])
		for line := range strings.Lines(text[before:]) {
			w.out.WriteString(strconv.Itoa(i+1) + ": " + line)
		}
		w.doExecute(&command{})
		w.kubelet("", false)
		switch due := w.due(); {
		case w.state.Seq() > at:
			w.now = w.now.Add(step)
		case c.word(0) != "" || due.IsZero():
			return
		default:
			w.now = due
		}
	}
	if c.word(0) == "" {
		w.fatal("no rest after %d rounds", rounds)
	}
}

// due returns when a decision is to be made again, except for the one that
// calls a rollout stalled; zero: never.
func (w *world) due() time.Time {
	var due time.Time
	for _, k := range w.names() {
		at := controller.Reconcile(w.state, k, w.now).RequeueAt
		if d := w.state.DaemonSet(k); at.IsZero() || d != nil && !at.Before(d.Progress.Add(d.Settings.Deadline)) {
			continue
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}
