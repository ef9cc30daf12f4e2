package instance

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// How often rollouts are looked at: while nothing happens, because time alone
// can make one stalled, and while much does, because looking is not free.
const (
	stallCheck  = 250 * time.Millisecond
	changeCheck = 25 * time.Millisecond
)

// Settled waits until every DaemonSet is rolled out, or stalled, and names those
// that are stalled. changed receives when events were folded since it last did.
func (in *Instance) Settled(ctx context.Context, changed <-chan struct{}) error {
	began := time.Now()
	var from time.Time // in log time
	in.State.ReadNow(func(_ *projector.State, now time.Time) { from = now })
	joined, late := false, []string(nil)
	for {
		// A node that has not joined may want pods later: it is too early to say.
		joined = joined || in.joined(&late) || time.Since(began) > in.Patience
		open, stalled := in.unsettled(from)
		switch {
		case !joined || open > 0:
		case len(stalled) > 0:
			return &events.Error{Code: "E-UP-STALLED", What: "rollout stalled", Why: strings.Join(stalled, "; "),
				Do: "correct the manifest or the nodes and apply again", Exit: events.ExitHalt}
		default:
			return nil
		}
		if err := awaitChange(ctx, changed); err != nil {
			return err
		}
	}
}

// awaitChange returns when changed has received, or it is time to look anyway.
func awaitChange(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
	case <-time.After(stallCheck):
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-time.After(changeCheck):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// joined reports whether every simulated node that has not failed has been Ready.
// late are those that had not been when this was last asked, and are looked at
// instead of all: they may be a hundred thousand, and the fold waits meanwhile.
func (in *Instance) joined(late *[]string) bool {
	in.State.Read(func(s *projector.State) {
		for len(*late) > 0 {
			if n := s.Node((*late)[0]); n != nil && awaited(n) {
				return
			}
			*late = (*late)[1:]
		}
		for n := range s.Nodes() {
			if awaited(n) {
				*late = append(*late, n.Name)
			}
		}
	})
	return len(*late) == 0
}

// awaited reports whether a node is simulated, and about to become Ready.
func awaited(n *sets.Node) bool {
	if n.Ready || !n.Simulated() {
		return false
	}
	marks := wire.Field(wire.Field(n.Object.Data, "metadata"), "annotations")
	return string(wire.Text(marks, events.AnnotationFail)) != "true"
}

// unsettled counts the DaemonSets that are under way, and names the stalled.
// began is in log time.
func (in *Instance) unsettled(began time.Time) (open int, stalled []string) {
	in.State.ReadNow(func(s *projector.State, now time.Time) {
		for _, d := range s.DaemonSets() {
			if rolledOut(s, d) {
				continue
			}
			if why := stall(d, began, now); why != "" {
				stalled = append(stalled, fmt.Sprintf("%s: %s", d.Key, why))
				continue
			}
			open++
		}
	})
	return open, stalled
}

// rolledOut reports whether nothing is left to do for a DaemonSet, and its
// status says so.
func rolledOut(s *projector.State, d *sets.DaemonSet) bool {
	st := d.Object.Status
	c := d.Counts
	onDelete := d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	if d.Deleting() || st.ObservedGeneration != d.Object.Generation || int(st.DesiredNumberScheduled) != c.Desired ||
		int(st.NumberAvailable) != c.Desired || int(st.UpdatedNumberScheduled) != c.Updated ||
		c.Updated != c.Desired && !onDelete || c.Waiting > 0 || c.Surging > 0 || d.Creating > 0 || s.PendingCommands() > 0 {
		return false
	}
	for p := range s.PodsOf(d.Key.Namespace, d.UID) {
		if p.Deleting {
			return false
		}
	}
	return true
}

// stall returns why a rollout is stalled, or "". The condition may be that of
// a run before, so this one has had the whole deadline too.
func stall(d *sets.DaemonSet, began, now time.Time) string {
	from := d.Progress
	if from.Before(began) {
		from = began
	}
	if now.Before(from.Add(d.Settings.Deadline)) {
		return ""
	}
	for _, c := range d.Object.Status.Conditions {
		if c.Type == controller.ConditionStalled && c.Status == corev1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// LastSeq returns how far the log was read.
func (in *Instance) LastSeq() (at events.Seq) {
	in.State.Read(func(s *projector.State) { at = s.Seq() })
	return at
}

// AwaitEnd returns when State has what is in the log now.
func (in *Instance) AwaitEnd(ctx context.Context) error {
	end, err := in.Log.Info(ctx)
	if err != nil {
		return err
	}
	return in.State.Await(ctx, end.Last)
}
