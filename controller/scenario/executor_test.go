package scenario_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/drive/drivetest"
	"rollcall/publisher/executor"
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
		w.append(controller.PlanEntry(res.Plan, w.subjects, w.state.LastPlan(k)))
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
	e, err := wr.Entry(w.subjects)
	if err != nil {
		w.fatal("%v", err)
	}
	w.append(e)
}

// chosen reports whether a command about a node is among those that an option names.
func chosen(opt, node string) bool {
	return opt == "" || slices.Contains(strings.Split(opt, ","), node)
}

// cast is the world in which the executor of a conversation acts: an option of
// execute says what it refuses.
type cast struct {
	executor.LogWorld
	only, refuse string // nodes
	quota        int    // of pods that are made; less than 0: there is none
	unbound      bool   // pods wait for a scheduler
}

// errHeld is the error of what is left for another time.
var errHeld = errors.New("not now")

// Create implements executor.World.
func (c *cast) Create(_ context.Context, want executor.Creation) (*corev1.Pod, error) {
	pod := want.Pod
	node, _ := daemonpod.TargetNode(&pod.Spec)
	switch {
	case !chosen(c.only, node):
		return nil, errHeld
	case c.refuse == "all" || c.refuse != "" && chosen(c.refuse, node) || c.quota == 0:
		return nil, &executor.Refusal{Reason: "Forbidden", Message: "exceeded quota"}
	}
	c.quota--
	if !c.unbound {
		pod.Spec.NodeName = node
	}
	return pod, nil
}

// Delete implements executor.World.
func (c *cast) Delete(ctx context.Context, d executor.Deletion) (*corev1.Pod, bool, error) {
	if !chosen(c.only, d.Pod.Spec.NodeName) {
		return nil, false, errHeld
	}
	return c.LogWorld.Delete(ctx, d)
}

// startExecutor starts an executor that reads the log from its first event.
func (w *world) startExecutor() {
	w.executor = executor.New(w.subjects, w.cast)
	screen := events.NewScreen()
	for e, err := range w.log.Read(w.t.Context(), 0) {
		if err != nil {
			w.fatal("%v", err)
		}
		w.executor.Observe(screen.Take(e), w.now)
	}
}

// doExecute answers commands that are under way, in their order, and prints
// what there was nothing to collect about.
func (w *world) doExecute(c *command) {
	*w.cast = cast{only: c.opt("only"), refuse: c.opt("refuse"), quota: -1, unbound: c.opt("bind") == "false"}
	if q, err := strconv.Atoi(c.opt("quota")); err == nil {
		w.cast.quota = q
	}
	for {
		due := w.executor.Due(w.now, 1)
		if len(due) == 0 {
			break
		}
		at := w.state.Seq()
		err := due[0].Perform(w.t.Context(), drivetest.At(w.now, w.log))
		if err != nil && !errors.Is(err, errHeld) {
			w.fatal("%v", err)
		}
		w.follow()
		w.executor.Done(due[0], err, w.now)
		w.gcFailures(at)
	}
	if w.cast.only != "" {
		w.startExecutor() // at once, without the pause before another try
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
				w.gone(events.Pod, pod)
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
		w.tell(events.Pod, events.VerbUpdated, pod)
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
