package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
	"rollcall/publisher/gate"
)

func (s *session) rolloutCommand() *cobra.Command {
	return s.group("rollout", "Watch and steer the rollout of a DaemonSet", "",
		s.rolloutStatus(), s.rolloutHistory(), s.rolloutUndo(),
		s.rolloutChange("restart", "Replace every pod", (*gate.Client).Restart),
		s.rolloutChange("pause", "Hold: no pod is replaced until resume", (*gate.Client).Pause),
		s.rolloutChange("resume", "End pause", (*gate.Client).Resume))
}

func (s *session) rolloutStatus() *cobra.Command {
	var namespace string
	var watch bool
	var timeout time.Duration
	c := &cobra.Command{Use: "status ds/NAME", Short: "Follow a rollout to its end", Args: takes(1, 1),
		Long: "status follows a rollout to its end and says what it waits for. It exits 3 when\nthe rollout is stalled: when nothing has moved for the progress deadline."}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.Flags().BoolVarP(&watch, "watch", "w", true, "go on until the rollout is done")
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up after so long, 0s: never")
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		if timeout < 0 {
			return &events.Error{Code: "E-CLI-DURATION", What: timeout.String() + " cannot be a time-out", Where: "--timeout", Do: "give 0s or more", Exit: events.ExitInput}
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		ctx := c.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, timeout, story.ErrRolloutTimeout)
			defer cancel()
		}
		err = s.followRollout(ctx, a, events.Key{Namespace: namespace, Name: name}, watch)
		if err != nil && context.Cause(ctx) == error(story.ErrRolloutTimeout) {
			return story.ErrRolloutTimeout
		}
		return err
	}
	return c
}

// followRollout prints the status of a rollout and each change of it until it
// is done.
func (s *session) followRollout(ctx context.Context, a *archive, key events.Key, watch bool) error {
	st, err := a.fold(ctx)
	if err != nil {
		return err
	}
	ds, err := daemonSet(st, key)
	if err != nil {
		return err
	}
	last, done, err := s.tellRollout(ds, "")
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
			return story.ErrRolloutDeleted
		case events.Object:
			var ds appsv1.DaemonSet
			if err := b.Decode(&ds); err != nil {
				return err
			}
			if last, done, err = s.tellRollout(&ds, last); err != nil || done {
				return err
			}
		}
	}
	return nil
}

// tellRollout prints how a rollout stands and what it waits for, if that is not
// what was said last, and returns it. A rollout that is stalled is an error.
func (s *session) tellRollout(ds *appsv1.DaemonSet, last string) (text string, done bool, err error) {
	text, done, err = story.RolloutStatus(ds)
	if err != nil {
		return "", false, err
	}
	if cause := story.RolloutCause(ds); cause != "" && !done {
		text += "\n  " + cause
	}
	if text != last {
		s.out.printf("%s\n", text)
	}
	if !done && story.Stalled(ds) != "" {
		return text, false, story.ErrRolloutStalled(ds)
	}
	return text, done, nil
}

// daemonSet returns a DaemonSet of the state, or says which there are.
func daemonSet(st *projector.State, key events.Key) (*appsv1.DaemonSet, error) {
	d := st.DaemonSet(key)
	if d == nil {
		return nil, notFound(events.DaemonSet, key, st.List(events.DaemonSet, key.Namespace))
	}
	return d.Object, nil
}

func (s *session) rolloutHistory() *cobra.Command {
	var namespace string
	var revision int64
	c := &cobra.Command{Use: "history ds/NAME", Short: "List the revisions of a DaemonSet", Args: takes(1, 1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.Flags().Int64Var(&revision, "revision", 0, "show the template of this revision")
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		if err := story.CheckRevision(revision); err != nil {
			return err
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		st, err := a.fold(c.Context())
		if err != nil {
			return err
		}
		ds, err := daemonSet(st, events.Key{Namespace: namespace, Name: name})
		if err != nil {
			return err
		}
		owned, err := ownedRevisions(st, ds)
		if err != nil {
			return err
		}
		text := story.RolloutHistory(name, owned)
		if revision > 0 {
			if text, err = story.RolloutRevision(name, owned, revision); err != nil {
				return err
			}
		}
		s.out.printf("%s", text)
		return nil
	}
	return c
}

// ownedRevisions returns the revisions that a DaemonSet controls.
func ownedRevisions(st *projector.State, ds *appsv1.DaemonSet) ([]*appsv1.ControllerRevision, error) {
	all, err := decodeAll[appsv1.ControllerRevision](st.List(events.ControllerRevision, ds.Namespace))
	if err != nil {
		return nil, err
	}
	var owned []*appsv1.ControllerRevision
	for _, r := range all {
		if metav1.IsControlledBy(r, ds) {
			owned = append(owned, r)
		}
	}
	return owned, nil
}

func (s *session) rolloutUndo() *cobra.Command {
	var namespace string
	var revision int64
	c := &cobra.Command{Use: "undo ds/NAME", Short: "Go back to an earlier revision", Args: takes(1, 1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.Flags().Int64Var(&revision, "to-revision", 0, "go back to this one (default: the one before)")
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return g.Undo(c.Context(), gate.UndoRequest{Object: gate.Object{Namespace: namespace, Name: name}, ToRevision: revision})
		})
	}
	return c
}

// rolloutChange is a command that changes how a DaemonSet is rolled out.
func (s *session) rolloutChange(verb, short string, call func(*gate.Client, context.Context, gate.RolloutRequest) (gate.Reply, error)) *cobra.Command {
	var namespace string
	c := &cobra.Command{Use: verb + " ds/NAME", Short: short, Args: takes(1, 1)}
	t := addTarget(c)
	addNamespace(c, &namespace)
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := daemonSetName(args[0])
		if err != nil {
			return err
		}
		return s.askGate(c.Context(), t, func(g *gate.Client) (gate.Reply, error) {
			return call(g, c.Context(), gate.RolloutRequest{Object: gate.Object{Namespace: namespace, Name: name}})
		})
	}
	return c
}
