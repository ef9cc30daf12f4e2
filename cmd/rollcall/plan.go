package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
)

// planFlags are the flags of plan.
type planFlags struct {
	manifests    manifest.Sources
	images, sets []string
	namespace    string
	runs         int
	seed         int64
	longer       time.Duration
	out          string
	exitCode     bool
}

func (s *session) planCommand() *cobra.Command {
	var o planFlags
	c := &cobra.Command{Use: "plan [ds/NAME]", Short: "Tell what a change of a DaemonSet would do, node by node, before it is made", Args: takes(0, 1),
		Long: `plan asks the API what a manifest, or a change of a DaemonSet that is there, would
become, and plays the cluster on from there: the real controller and executor, with
kubelets that take as long as pods of these images took on their node, else of these
images, else of all. It tells which nodes are updated, in which waves, which are
blocked or skipped and why, how many are unavailable at most, and how long it takes.
Nothing is written.

--set gives the DaemonSet a field: maxUnavailable, maxSurge, minReadySeconds,
updateStrategy, annotations.KEY or a path that begins with spec. --out writes the plan
down. What it depends on is looked at again by rollcall rollout apply, which carries it
out.

plan exits 0 when it has planned; with --exit-code, 1 if something would change.

` + replay.InstantForms,
		Example: `  rollcall plan ds/nginx-daemonset --image nginx=nginx:1.29
  rollcall plan -f example:fluentd
  rollcall plan ds/nginx-daemonset --set maxUnavailable=10% --image nginx=nginx:1.29 --out plan.json`}
	q := addQuestion(c)
	q.addAt(c)
	f := c.Flags()
	f.StringArrayVarP(&o.manifests.Files, "filename", "f", nil, "manifest to plan: a file, a directory, a URL, - for standard input, or an example such as "+manifest.ExamplePrefix+"fluentd; may be given several times")
	f.BoolVarP(&o.manifests.Recursive, "recursive", "R", false, "read the directories below those of --filename too")
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the DaemonSet, and of objects that name none (default: default)")
	f.StringArrayVar(&o.images, "image", nil, "image that a container gets, CONTAINER=IMAGE; may be given several times")
	f.StringArrayVar(&o.sets, "set", nil, "what the DaemonSet has otherwise, FIELD=VALUE; may be given several times")
	f.IntVar(&o.runs, "runs", 10, "how often to play, with other delays each time, up to 1000")
	f.Int64Var(&o.seed, "seed", 1, "of the delays")
	f.DurationVar(&o.longer, "for", time.Hour, "how long at most to go on, for rollouts to end")
	f.StringVar(&o.out, "out", "", "file to write the plan to, for rollcall rollout apply")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit 1 if something would change")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.check(args); err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.plan(c.Context(), x, q.target, args, o) })
	}
	return c
}

// check refuses flags that say nothing together.
func (o planFlags) check(args []string) error {
	change := len(o.images)+len(o.sets) > 0
	switch {
	case len(args) == 0 && len(o.manifests.Files) == 0:
		return usageError("E-CLI-ARGS", "there is nothing to plan", "give a manifest with -f, or a DaemonSet with --image or --set")
	case len(args) > 0 && len(o.manifests.Files) > 0:
		return usageError("E-CLI-ARGS", "a manifest and "+args[0]+" exclude each other", "give one of them")
	case len(args) == 0 && change:
		return usageError("E-CLI-FLAG", "--image and --set change a DaemonSet that is named", "name it, or write the change into the manifest")
	case len(args) > 0 && !change:
		return usageError("E-CLI-ARGS", "nothing of "+args[0]+" would change", "say what with --image CONTAINER=IMAGE or --set FIELD=VALUE")
	case o.runs < 1 || o.runs > 1000:
		return usageError("E-CLI-FLAG", fmt.Sprintf("--runs cannot be %d", o.runs), "give 1 to 1000")
	case o.longer < time.Minute || o.longer > 24*time.Hour:
		return &events.Error{Code: "E-CLI-DURATION", What: o.longer.String() + " cannot be how long to go on", Where: "--for", Do: "give 1m to 24h", Exit: events.ExitInput}
	}
	return nil
}

// planned is what plan tells.
type planned struct {
	*play.Outcome
	Changes bool             `json:"changes"`
	Runs    []*time.Duration `json:"tookNanoseconds"` // of each run; null: it does not end
	Delays  delaysSeen       `json:"delays"`
}

// delaysSeen says how many delays a model draws from.
type delaysSeen struct {
	Start    int        `json:"start"`     // pods whose start was seen
	OfImages int        `json:"ofImages"`  // of these with the images that are planned
	Stop     int        `json:"stop"`      // pods whose end was seen
	From     events.Seq `json:"fromEvent"` // from where on the log was looked at
}

func (s *session) plan(ctx context.Context, x *asked, t *target, args []string, o planFlags) error {
	docs, err := s.planDocuments(ctx, x, args, o)
	if err != nil {
		return err
	}
	r, err := s.rehearse(ctx, t, x.at.Seq, o.namespace, docs)
	if err != nil {
		return err
	}
	if len(daemonSetsOf(r.intents)) == 0 {
		return &events.Error{Code: "E-MAN-KIND", What: "there is no DaemonSet to plan", Where: strings.Join(o.manifests.Files, ", "), Do: "add one to the manifests", Exit: events.ExitInput}
	}
	at := x.at
	if x.log.nc != nil && x.at.Seq == x.Span().Last { // nothing has happened since the last event
		at.Now = time.Now()
	}
	all, err := foresee(ctx, x, t.cluster, at, r.intents, o)
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := s.writePlan(ctx, x, t.cluster, r, all, o.out); err != nil {
			return err
		}
	}
	err = x.give("Plan", all, func() string {
		text := planText(all)
		if o.out != "" && r.changes() {
			text += fmt.Sprintf("written to %s; carry it out with rollcall rollout apply %s\n", o.out, o.out)
		}
		return text
	})
	if err == nil && o.exitCode && r.changes() {
		return errDiffers
	}
	return err
}

// planDocuments returns what is planned.
func (s *session) planDocuments(ctx context.Context, x *asked, args []string, o planFlags) ([]*manifest.Document, error) {
	if len(args) == 0 {
		from := o.manifests
		from.Stdin, from.Namespace = s.in, o.namespace
		return manifest.Read(ctx, from)
	}
	name, err := daemonSetName(args[0])
	if err != nil {
		return nil, err
	}
	key := events.Key{Namespace: cmp.Or(o.namespace, metav1.NamespaceDefault), Name: name}
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return nil, err
	}
	ds, err := daemonSet(st, key)
	if err != nil {
		return nil, err
	}
	tree := map[string]any{"apiVersion": appsv1.SchemeGroupVersion.String(), "kind": string(events.DaemonSet),
		"metadata": map[string]any{"name": key.Name, "namespace": key.Namespace}}
	if err := setImages(tree, ds, o.images); err != nil {
		return nil, err
	}
	for _, text := range o.sets {
		set, err := play.ParseSet(cutSet(text, key), key.Namespace)
		if err == nil && set.DaemonSet != key {
			err = fmt.Errorf("it is of ds/%s", set.DaemonSet)
		}
		if err == nil {
			err = set.Into(tree)
		}
		if err != nil {
			return nil, &events.Error{Code: "E-WHATIF-SET", What: fmt.Sprintf("%q cannot be set", text), Where: "--set", Why: err.Error(),
				Do: "write FIELD=VALUE, as rollcall whatif --help has the fields", Exit: events.ExitInput}
		}
	}
	d, err := manifest.Made("ds/"+key.String(), tree, true)
	return []*manifest.Document{d}, err
}

// setImages writes containers with other images into a tree of fields.
func setImages(tree map[string]any, ds *appsv1.DaemonSet, images []string) error {
	spec := ds.Spec.Template.Spec.DeepCopy()
	lists := map[string][]corev1.Container{"initContainers": spec.InitContainers, "containers": spec.Containers}
	var names []string
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		names = append(names, c.Name)
	}
	for _, text := range images {
		name, image, ok := strings.Cut(text, "=")
		if !ok || name == "" || image == "" {
			return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("%q gives no container an image", text), Where: "--image", Do: "write CONTAINER=IMAGE; the containers are " + strings.Join(names, ", "), Exit: events.ExitInput}
		}
		if !slices.Contains(names, name) {
			return &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("there is no container %q", name), Where: "ds/" + ds.Namespace + "/" + ds.Name,
				Do: events.Suggest(name, names, "choose from "+strings.Join(names, ", ")), Exit: events.ExitInput}
		}
		for list, cs := range lists {
			i := slices.IndexFunc(cs, func(c corev1.Container) bool { return c.Name == name })
			if i < 0 {
				continue
			}
			cs[i].Image = image
			if err := setContainers(tree, list, cs); err != nil {
				return err
			}
		}
	}
	return nil
}

// setContainers writes a list of containers into a tree of fields: a merge takes a
// list as a whole.
func setContainers(tree map[string]any, list string, cs []corev1.Container) error {
	var all []any
	for i := range cs {
		fields, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(&cs[i])
		if err != nil {
			return err
		}
		all = append(all, fields)
	}
	return unstructured.SetNestedSlice(tree, all, "spec", "template", "spec", list)
}

// foresee plays what is intended, and returns what becomes of each DaemonSet.
func foresee(ctx context.Context, x *asked, cluster string, at replay.Moment, intents []play.Intent, o planFlags) ([]*planned, error) {
	subjects, err := events.NewSubjects(cluster)
	if err != nil {
		return nil, err
	}
	delays, from, err := play.DelaysOf(ctx, x.History, at.Seq)
	if err != nil {
		return nil, err
	}
	f, err := play.NewForesight(ctx, x.History, subjects, at)
	if err != nil {
		return nil, err
	}
	changed := map[events.Key]bool{}
	for _, i := range intents {
		changed[i.After.Key] = changed[i.After.Key] || i.After.Kind == events.DaemonSet && i.Changes()
	}
	x.log.done()
	runs, err := playAll(ctx, x.log.session, f, intents, play.Terms{Delays: &delays, Seed: o.seed, Longer: o.longer}, o.runs)
	if err != nil {
		return nil, err
	}
	var all []*planned
	for i, outcome := range runs[0] {
		p := &planned{Outcome: outcome, Changes: changed[outcome.DaemonSet],
			Delays: delaysSeen{Start: delays.Seen("start"), OfImages: delays.SeenOf("start", outcome.Images), Stop: delays.Seen("stop"), From: from}}
		for _, run := range runs {
			p.PeakUnavailable = max(p.PeakUnavailable, run[i].PeakUnavailable)
			p.Runs = append(p.Runs, run[i].Took)
		}
		all = append(all, p)
	}
	return all, nil
}

// playAll plays several times, each with the next seed, as many at once as there
// are processors.
func playAll(ctx context.Context, s *session, f *play.Foresight, intents []play.Intent, terms play.Terms, n int) ([][]*play.Outcome, error) {
	var done atomic.Int64
	stop := s.Progress("playing the rollout", func() string { return fmt.Sprintf("%d of %s", done.Load(), plural(n, "run")) })
	defer stop()
	runs, errs := make([][]*play.Outcome, n), make([]error, n)
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i := range n {
		terms := terms
		terms.Seed += int64(i)
		free <- struct{}{}
		all.Go(func() {
			runs[i], errs[i] = f.Play(ctx, intents, terms)
			done.Add(1)
			<-free
		})
	}
	all.Wait()
	return runs, errors.Join(errs...)
}
