package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// scene is what happens in a demo.
type scene struct {
	name  string
	lines []string // what to look at, and which command answers it
	steps []sceneStep
}

// sceneStep is one thing that somebody does, so long after the one before or, the
// first, after every node has its pod.
type sceneStep struct {
	after time.Duration
	as    string // the command that does the same
	do    func(ctx context.Context, api kubernetes.Interface) error
}

// halfway stands in the lines of a scene for a node in the middle of the cluster.
const halfway = "NODE"

// say are the lines of a scene over a cluster of so many nodes, with the name of the
// program as it was called.
func (x *scene) say(nodes int) []string {
	lines := slices.Clone(x.lines)
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(strings.ReplaceAll(line, halfway, fmt.Sprintf("node-%04d", nodes/2)), " rollcall ", " "+self()+" ")
	}
	return lines
}

// demoAgent is the DaemonSet of the scenes.
var demoAgent = events.Key{Namespace: "kube-system", Name: "node-agent"}

// scenes are those of the recordings in testdata, over an instance that runs.
var scenes = []*scene{
	{"clean", []string{
		"Nodes (2): 5 % of the nodes at a time get the new image. Rollouts (3): a row a wave, and what is left.",
		"Why has a node not got it yet?      rollcall why-not node/" + halfway,
		"What has the change led to so far?  rollcall rollout list",
	}, []sceneStep{setImage(0, "2.4.0")}},
	{"bad-image", []string{
		"Nodes (2), coloured by why: the image cannot be pulled, and the budget is used up. Nothing goes on by itself.",
		"Why does the rollout not go on?  rollcall why-not ds/kube-system/node-agent",
		"What ends it?                    rollcall kubectl -n kube-system rollout undo ds/node-agent",
	}, []sceneStep{setImage(0, "non-existent")}},
	{"stuck-node", []string{
		"Nodes (2): one lost node holds the whole budget of one; every other node waits for it.",
		"Who holds the budget?           rollcall why-not ds/kube-system/node-agent",
		"And with a budget of 5 %?       rollcall whatif --set ds/kube-system/node-agent.maxUnavailable=5%",
	}, []sceneStep{setBudget(0, "1"), fail(0, "node-0007", true), setImage(time.Second/2, "2.4.0")}},
	{"zone-outage", []string{
		"Nodes (2), grouped by zone: a third of the nodes is lost in the middle of the rollout, and comes back.",
		"Which nodes are without a pod, and why?    rollcall top --once --group zone --by cause",
		"What has changed since the rollout began?  rollcall diff rollout/kube-system/node-agent#2:start now",
	}, []sceneStep{setImage(0, "2.4.0"), failZone(6*time.Second, "region-1a", true), failZone(25*time.Second, "region-1a", false)}},
	{"double-update", []string{
		"Rollouts (3): the second update supersedes the first while that is under way.",
		"What became of the first?          rollcall rollout list",
		"Was the budget kept all the time?  rollcall check budget",
	}, []sceneStep{setImage(0, "2.4.0"), setImage(6*time.Second, "2.5.0")}},
	{"flapping", []string{
		"Nodes (2), coloured by why: some nodes come and go while the rollout is under way.",
		"What do they cost?              Events (4) of nodes, each with what it has led to",
		"Which nodes come and go?        rollcall log --type node.updated --from rollout/kube-system/node-agent#2:start",
	}, flapping()},
}

func setImage(after time.Duration, tag string) sceneStep {
	image := demoImage + ":" + tag
	return sceneStep{after, "rollcall kubectl -n kube-system set image ds/node-agent agent=" + image, func(ctx context.Context, api kubernetes.Interface) error {
		return patchAgent(ctx, api, `{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"`+image+`"}]}}}}`)
	}}
}

func setBudget(after time.Duration, most string) sceneStep {
	patch := `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":` + most + `}}}}`
	return sceneStep{after, "rollcall kubectl -n kube-system patch ds/node-agent -p '" + patch + "'", func(ctx context.Context, api kubernetes.Interface) error {
		return patchAgent(ctx, api, patch)
	}}
}

func patchAgent(ctx context.Context, api kubernetes.Interface, patch string) error {
	_, err := api.AppsV1().DaemonSets(demoAgent.Namespace).Patch(ctx, demoAgent.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "demo"})
	return err
}

// fail makes a node fail as if the power went, or ends that.
func fail(after time.Duration, node string, fails bool) sceneStep {
	as := "recover"
	if fails {
		as = "fail"
	}
	return sceneStep{after, "rollcall node " + as + " " + node, func(ctx context.Context, api kubernetes.Interface) error {
		return setFailing(ctx, api, node, fails)
	}}
}

func setFailing(ctx context.Context, api kubernetes.Interface, node string, fails bool) error {
	value := "null"
	if fails {
		value = `"true"`
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, events.AnnotationFail, value)
	_, err := api.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "demo"})
	return err
}

// failZone makes all nodes of a zone fail, or ends that.
func failZone(after time.Duration, zone string, fails bool) sceneStep {
	change := events.AnnotationFail + "-"
	if fails {
		change = events.AnnotationFail + "=true"
	}
	selector := corev1.LabelTopologyZone + "=" + zone
	return sceneStep{after, "rollcall kubectl annotate node -l " + selector + " " + change, func(ctx context.Context, api kubernetes.Interface) error {
		list, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		for _, n := range list.Items {
			if err := setFailing(ctx, api, n.Name, fails); err != nil {
				return err
			}
		}
		return nil
	}}
}

// flapping nodes are lost and come back one after the other.
func flapping() []sceneStep {
	steps := []sceneStep{setImage(0, "2.4.0")}
	for round := range 8 {
		node := fmt.Sprintf("node-%04d", 2+(3*round)%9)
		steps = append(steps, fail(2*time.Second, node, true), fail(3*time.Second, node, false))
	}
	return steps
}

// play does what a scene has, in an instance that runs, until ctx is done.
func (x *scene) play(ctx context.Context, in *upRun, s *session, speed float64) error {
	api, err := kubernetes.NewForConfig(in.LoopbackAs("demo"))
	if err != nil {
		return err
	}
	if err := awaitAgent(ctx, in); err != nil {
		return err
	}
	for _, step := range x.steps {
		select {
		case <-time.After(time.Duration(float64(step.after) / speed)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := step.do(ctx, api); err != nil {
			return fmt.Errorf("%s: %w", step.as, err)
		}
		s.out.printf("demo: %s\n", step.as)
	}
	return nil
}

// stage has the scene of a demo played, if there is one, and returns what waits for
// its end, which comes with that of ctx.
func (in *upRun) stage(ctx context.Context, s *session) (wait func()) {
	x := in.up.scene
	if x == nil {
		return func() {}
	}
	s.out.printf("\ndemo %s: what to look at, and which command answers it\n  %s\n\n", x.name, strings.Join(x.say(in.up.Nodes), "\n  "))
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := x.play(ctx, in, s, in.up.speed); err != nil && ctx.Err() == nil {
			s.Warn("the demo has ended: " + err.Error())
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// awaitAgent returns when every node has its pod, and the controller has said so.
func awaitAgent(ctx context.Context, in *upRun) error {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		done := false
		in.State.Read(func(st *projector.State) {
			d := st.DaemonSet(demoAgent)
			done = d != nil && replay.HasRolledOut(d.Object, d.Object.Generation)
		})
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
