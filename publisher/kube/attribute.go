package kube

import (
	"context"
	"fmt"
	"slices"

	"rollcall/events"
)

// errRival ends a recorder: somebody else acts as the controller of DaemonSets.
type errRival struct{ what string }

func (e errRival) Error() string { return e.what }

// attribute says of a fact that it answers a command, if a pod was made for one whose
// answer the log does not have: the call was made, and whoever made it could not say so.
// It ends the recorder if the fact is somebody else's doing who must not be there.
func (r *Recorder) attribute(ctx context.Context, s *Seen, e *events.Entry) error {
	made := s.Kind == events.Pod && e.Type == events.ObjectType(events.Pod, events.VerbCreated)
	ours := false
	if cause, marked := causeOf(s.Data, r.mark); made && marked {
		plan, err := r.plan(ctx, cause)
		if err != nil {
			return err
		}
		if ours = plan != nil && cause.Index < len(plan.Commands) && plan.Commands[cause.Index].Do == events.CreatePod && plan.Commands[cause.Index].Key == s.Key; ours && slices.Contains(r.UnderWay(), cause) {
			e.Cause, e.ID = cause, events.AnswerID(cause, plan.Basis.Now, "answer")
		}
	}
	since := r.World.taken()
	if since.IsZero() || s.Kind == events.Pod && !made {
		return nil
	}
	if what := s.rival(since.Unix(), ours); what != "" {
		r.World.Let()
		return errRival{what}
	}
	if s.odd(since.Unix()) {
		r.World.suspect()
	}
	return nil
}

// plan reads the plan that a command is of; nil: it is none.
func (r *Recorder) plan(ctx context.Context, c events.Cause) (*events.Plan, error) {
	for e, err := range r.Log.Read(ctx, c.Seq-1) {
		if err != nil {
			return nil, fmt.Errorf("read the plan of a command: %w", err)
		}
		p, _ := e.Body.(*events.Plan)
		return p, nil
	}
	return nil, nil
}
