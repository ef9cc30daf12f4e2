package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/events"
	"rollcall/publisher/simkubelet"
)

func (s *session) nodeCommand() *cobra.Command {
	return s.group("node", "Add nodes, simulated and real ones, and make simulated ones fail", "",
		s.nodeAdd(),
		s.nodeJoin(),
		s.nodeFail("fail", "Make simulated nodes fail, as if the power went", "failed", "has failed already", "true"),
		s.nodeFail("recover", "End fail", "recovered", "has not failed", ""))
}

// nodeFail makes simulated nodes fail, or ends that: it gives them the
// annotation that their kubelets look at, or takes it away. If one of the nodes
// cannot be had, none is changed.
func (s *session) nodeFail(verb, short, done, already, value string) *cobra.Command {
	c := &cobra.Command{Use: verb + " NAME...", Short: short, Args: takes(1, -1)}
	t := addTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		names, err := nodeNames(args)
		if err != nil {
			return err
		}
		api, err := t.client(c.Context())
		if err != nil {
			return err
		}
		nodes := make([]*corev1.Node, len(names))
		for i, name := range names {
			if nodes[i], err = findNode(c.Context(), api, name); err != nil {
				return err
			}
			if nodes[i].Labels[events.LabelSimulated] != "true" {
				return &events.Error{Code: "E-CLI-SIMULATED", What: fmt.Sprintf("node %q is not simulated", name),
					Why: "only nodes with label " + events.LabelSimulated + "=true fail at will", Do: "choose a simulated node", Exit: events.ExitInput}
			}
		}
		for _, n := range nodes {
			if n.Annotations[events.AnnotationFail] == value {
				s.out.printf("node/%s %s\n", n.Name, already)
				continue
			}
			_, err := api.CoreV1().Nodes().Patch(c.Context(), n.Name, types.MergePatchType, annotation(events.AnnotationFail, value),
				metav1.PatchOptions{FieldManager: manifest.Manager})
			if err != nil {
				return refused(err, "", func() []string { return nil })
			}
			s.out.printf("node/%s %s\n", n.Name, done)
		}
		return nil
	}
	return c
}

func (s *session) nodeAdd() *cobra.Command {
	var count int
	var labels map[string]string
	c := &cobra.Command{Use: "add [NAME...]", Short: "Add simulated nodes, by name or by number", Args: takes(0, -1),
		Example: "  rollcall node add spare-1 --label type=platform-tools\n  rollcall node add --count 10"}
	t := addTarget(c)
	c.Flags().IntVar(&count, "count", 0, "so many, with the next free numbers")
	c.Flags().StringToStringVar(&labels, "label", nil, "label KEY=VALUE; may be given several times")
	c.RunE = func(c *cobra.Command, args []string) error {
		if (len(args) > 0) == c.Flags().Changed("count") {
			return usageError("E-CLI-ARGS", "nodes are added by name or by number", "give names, or --count")
		}
		if c.Flags().Changed("count") {
			if err := within("count", int64(count), 1, maxAdded); err != nil {
				return err
			}
		}
		names, err := nodeNames(args)
		if err != nil {
			return err
		}
		api, err := t.client(c.Context())
		if err != nil {
			return err
		}
		if names, err = toAdd(c.Context(), api, names, count); err != nil {
			return err
		}
		var so atomic.Int64
		done := s.Progress("adding nodes", func() string { return fmt.Sprintf("%d of %d", so.Load(), len(names)) })
		defer done()
		added, err := addNodes(c.Context(), api, names, labels, &so)
		done()
		for _, name := range added {
			s.out.printf("node/%s created\n", name)
		}
		return err
	}
	return c
}

// maxAdded is how many nodes are added at once.
const maxAdded = 10_000

// toAdd returns the names of the nodes to add: those given, of which none may
// be there, or count with the numbers after the highest that is.
func toAdd(ctx context.Context, api kubernetes.Interface, names []string, count int) ([]string, error) {
	there, err := listNodes(ctx, api)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if slices.Contains(there, name) || slices.Contains(names[:i], name) {
			return nil, alreadyExists(name)
		}
	}
	highest := 0
	for _, name := range there {
		if rest, ok := strings.CutPrefix(name, "node-"); ok {
			if i, err := strconv.Atoi(rest); err == nil {
				highest = max(highest, i)
			}
		}
	}
	for i := range count {
		names = append(names, fmt.Sprintf("node-%04d", highest+1+i))
	}
	return names, nil
}

// adders is how many nodes are asked for at the same time: the log takes their
// events together.
const adders = 64

// addNodes adds nodes, counts them in so, and returns those that were added, in
// order. It ends soon after the first that is refused.
func addNodes(ctx context.Context, api kubernetes.Interface, names []string, labels map[string]string, so *atomic.Int64) (added []string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make([]bool, len(names))
	workqueue.ParallelizeUntil(ctx, adders, len(names), func(i int) {
		if err := addNode(ctx, api, names[i], labels); err != nil {
			cancel(err)
			return
		}
		done[i] = true
		so.Add(1)
	})
	for i, name := range names {
		if done[i] {
			added = append(added, name)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return added, refused(err, "", func() []string { return nil })
	}
	return added, nil
}

// addNode adds a node that one of our kubelets plays.
func addNode(ctx context.Context, api kubernetes.Interface, name string, labels map[string]string) error {
	n := simkubelet.NewNode(name, 0, 1)
	for k, v := range labels {
		n.Labels[k] = v
	}
	_, err := api.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{FieldManager: manifest.Manager})
	return err
}
