package replay

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// Exit is how a container of a pod has ended last, in the kubelet's words.
type Exit struct {
	Container string    `json:"container"`
	Restarts  int32     `json:"restarts,omitempty"`
	Ended     bool      `json:"ended,omitempty"` // the kubelet tells of an end, with what follows
	Code      int32     `json:"exitCode"`
	Signal    int32     `json:"signal,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Message   string    `json:"message,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// exits returns the containers of a pod that have failed or were started again, as
// the last fact has it that tells of them: the one of the pod's end need not.
func (h *History) exits(ctx context.Context, cs *Causes, l *life) ([]Exit, error) {
	for i := len(l.facts) - 1; i >= l.born; i-- {
		if cs.before(l.facts[i]) {
			return nil, nil
		}
		e, err := h.Event(ctx, l.facts[i])
		if err != nil {
			return nil, err
		}
		if o, ok := e.Body.(events.Object); ok {
			return exitsOf(o), nil
		}
	}
	return nil, nil
}

func exitsOf(o events.Object) (all []Exit) {
	p := new(corev1.Pod)
	if o.Decode(p) != nil {
		return nil
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		x := Exit{Container: c.Name, Restarts: c.RestartCount}
		end := c.State.Terminated
		if end == nil {
			end = c.LastTerminationState.Terminated
		}
		if end != nil {
			x.Ended, x.Code, x.Signal, x.Reason, x.Message, x.At = true, end.ExitCode, end.Signal, end.Reason, end.Message, end.FinishedAt.UTC()
		}
		if x.Restarts > 0 || x.Code != 0 {
			all = append(all, x)
		}
	}
	return all
}
