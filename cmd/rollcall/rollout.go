package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

func (s *session) rolloutCommand() *cobra.Command {
	return s.group("rollout", "Hold a rollout, see what it waits for, which there were, and compare them", "",
		s.rolloutStatus(),
		s.rolloutApply(),
		s.rolloutList(),
		s.rolloutCompare(),
		s.rolloutReceipt(),
		s.rolloutChart(),
		s.rolloutHold("pause", "Hold: no pod is replaced until resume", "paused", "is paused already", "true"),
		s.rolloutHold("resume", "End pause", "resumed", "is not paused", ""))
}

func (s *session) rolloutStatus() *cobra.Command {
	var namespace string
	var watch bool
	var when string
	var timeout time.Duration
	c := &cobra.Command{Use: "status ds/NAME", Short: "Follow a rollout to its end", Args: takes(1, 1),
		Long: "status follows a rollout to its end and says what it waits for. It exits 3 when\nthe rollout is stalled: when nothing has moved for the progress deadline.\n\n--at tells how it stood at an instant, and does not wait.\n\n" + replay.InstantForms}
	t := addTarget(c)
	t.addRecording(c)
	addNamespace(c, &namespace)
	c.Flags().BoolVarP(&watch, "watch", "w", true, "go on until the rollout is done")
	c.Flags().StringVar(&when, "at", "", "instant that is asked about (default: now, and what comes)")
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up after so long, 0s: never")
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		if timeout < 0 {
			return &events.Error{Code: "E-CLI-DURATION", What: timeout.String() + " cannot be a time-out", Where: "--timeout", Do: "give 0s or more", Exit: events.ExitInput}
		}
		var at replay.Instant
		if when != "" {
			if at, err = replay.ParseInstant(when, time.Now()); err != nil {
				return of("--at", err)
			}
			if c.Flags().Changed("timeout") {
				return usageError("E-CLI-FLAG", "--at waits for nothing", "leave --timeout out")
			}
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		key := events.Key{Namespace: namespace, Name: name}
		if when != "" {
			return s.rolloutAt(c.Context(), a, key, at)
		}
		ctx := c.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, timeout, errRolloutTimeout)
			defer cancel()
		}
		err = s.followRollout(ctx, a, key, watch)
		if err != nil && errors.Is(context.Cause(ctx), errRolloutTimeout) {
			return errRolloutTimeout
		}
		return err
	}
	return c
}

// The ends of following a rollout that is not the rollout's own.
var (
	errRolloutDeleted = &events.Error{Code: "E-CLI-DELETED", What: "object has been deleted", Exit: events.ExitFailure}
	errRolloutTimeout = &events.Error{Code: "E-CLI-TIMEOUT", What: "timed out waiting for the condition", Exit: events.ExitTimeout}
)

// rolloutAt prints the status that a rollout had at an instant.
func (s *session) rolloutAt(ctx context.Context, a *archive, key events.Key, at replay.Instant) error {
	st, m, err := a.fold(ctx, at)
	if err != nil {
		return of("--at", err)
	}
	ds, err := daemonSet(st, key)
	if err != nil {
		return err
	}
	_, _, err = s.tellRollout(asRolled(st.Charter(), ds), "")
	s.out.printf("at %s\n", m)
	return err
}

// followRollout prints the status of a rollout and each change of it until it
// is done.
func (s *session) followRollout(ctx context.Context, a *archive, key events.Key, watch bool) error {
	st, _, err := a.fold(ctx, replay.Instant{})
	if err != nil {
		return err
	}
	ds, err := daemonSet(st, key)
	if err != nil {
		return err
	}
	charter := st.Charter()
	last, done, err := s.tellRollout(asRolled(charter, ds), "")
	if err != nil || done || !watch {
		return err
	}
	if err := a.wait("--watch"); err != nil {
		return err
	}
	for e, err := range a.Tail(ctx, st.Seq()) {
		if err != nil {
			return a.lost(err)
		}
		r := events.RefOf(e)
		if r.Kind != events.DaemonSet || r.Key != key {
			continue
		}
		switch b := e.Body.(type) {
		case events.Gone:
			return errRolloutDeleted
		case events.Object:
			var ds appsv1.DaemonSet
			if err := b.Decode(&ds); err != nil {
				return err
			}
			if last, done, err = s.tellRollout(asRolled(charter, &ds), last); err != nil || done {
				return err
			}
		}
	}
	return nil
}

// tellRollout prints how a rollout stands and what it waits for, if that is not
// what was said last, and returns it. A rollout that is stalled is an error.
func (s *session) tellRollout(ds *appsv1.DaemonSet, last string) (text string, done bool, err error) {
	text, done, err = rolloutStatus(ds)
	if err != nil {
		return "", false, err
	}
	if cause := story.RolloutCause(ds); cause != "" && !done {
		text += "\n  " + cause
	}
	if text != last {
		s.out.printf("%s\n", text)
	}
	if stalled := story.Stalled(ds); !done && stalled != "" {
		return text, false, &events.Error{Code: "E-CLI-STALLED", What: fmt.Sprintf("the rollout of daemon set %q is stalled", ds.Name), Why: stalled,
			Do: "correct the manifest or the nodes, or go back with rollcall kubectl rollout undo ds/" + ds.Name, Exit: events.ExitHalt}
	}
	return text, done, nil
}

// asRolled returns a DaemonSet as one whose pods are replaced, if it is OnDelete and
// connect --rollouts replaces them.
func asRolled(c *events.Charter, ds *appsv1.DaemonSet) *appsv1.DaemonSet {
	if c == nil || c.Mode != events.Rollouts || ds.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType || events.ReadSettings(ds.Annotations, "").Rollout == nil {
		return ds
	}
	as := ds.DeepCopy()
	as.Spec.UpdateStrategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
	return as
}

// rolloutStatus returns what kubectl rollout status says of a DaemonSet, without
// the end of the line, and whether that is the last word.
func rolloutStatus(ds *appsv1.DaemonSet) (text string, done bool, err error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ds)
	if err != nil {
		return "", false, err
	}
	text, done, err = (&polymorphichelpers.DaemonSetStatusViewer{}).Status(&unstructured.Unstructured{Object: fields}, 0)
	if err != nil {
		return "", false, &events.Error{Code: "E-CLI-STRATEGY", What: err.Error(), Exit: events.ExitFailure, Err: err}
	}
	return strings.TrimSuffix(text, "\n"), done, nil
}

// daemonSet returns a DaemonSet of the state, or says which there are.
func daemonSet(st *projector.State, key events.Key) (*appsv1.DaemonSet, error) {
	if d := st.DaemonSet(key); d != nil {
		return d.Object, nil
	}
	var names []string
	for _, o := range st.List(events.DaemonSet, key.Namespace) {
		names = append(names, o.Key.Name)
	}
	return nil, notFound(daemonSets, key.Name, "namespace "+key.Namespace, names)
}

// daemonSets is what the API calls the kind.
const daemonSets = "daemonsets.apps"

// rolloutHold holds the rollout of a DaemonSet, or ends that: it gives the
// DaemonSet the annotation that the controller looks at, or takes it away.
func (s *session) rolloutHold(verb, short, done, already, value string) *cobra.Command {
	var namespace string
	c := &cobra.Command{Use: verb + " ds/NAME", Short: short, Args: takes(1, 1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		api, err := t.client(c.Context())
		if err != nil {
			return err
		}
		sets := api.AppsV1().DaemonSets(namespace)
		ds, err := sets.Get(c.Context(), name, metav1.GetOptions{})
		if err == nil && ds.Annotations[events.AnnotationPaused] == value {
			s.out.printf("daemonset.apps/%s %s\n", name, already)
			return nil
		}
		if err == nil {
			_, err = sets.Patch(c.Context(), name, types.MergePatchType, annotation(events.AnnotationPaused, value), metav1.PatchOptions{FieldManager: manifest.Manager})
		}
		if err != nil {
			return refused(err, "namespace "+namespace, func() (names []string) {
				list, _ := sets.List(c.Context(), metav1.ListOptions{}) // without them nothing is suggested
				for i := range list.Items {
					names = append(names, list.Items[i].Name)
				}
				return names
			})
		}
		s.out.printf("daemonset.apps/%s %s\n", name, done)
		return nil
	}
	return c
}
