package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/cmd/rollcall/instance"
	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
	"rollcall/projector/table"
	"rollcall/publisher/kube"
)

// leaveTime bounds how long control takes to be left.
const leaveTime = 5 * time.Second

// maxTold bounds the DaemonSets that a refusal names.
const maxTold = 10

// govern takes a cluster over when the log has what it has, and sees to it that nobody
// else is its controller, until ctx is done or somebody is.
func (s *session) govern(ctx context.Context, in *instance.Instance, world *kube.World, o connectOptions) error {
	select {
	case <-world.Complete():
	case <-ctx.Done():
		return ctx.Err()
	}
	info, err := in.Log.Info(ctx)
	if err != nil {
		return err
	}
	if err := world.Lease(ctx, info.ID); err != nil {
		return err
	}
	s.out.printf("looking whether somebody else is the controller, for %s\n", o.probeWait)
	since, err := world.Alone(ctx, o.probeWait)
	if err != nil {
		return err
	}
	var goesOn bool
	in.State.Read(func(st *projector.State) { goesOn = st.Charter() != nil && st.Charter().Mode == events.Control })
	if !goesOn && o.takeover == "refuse" {
		if err := quiet(in, o.scope); err != nil {
			return err
		}
	}
	if _, _, err := s.charter(ctx, in, world.Cluster, o, events.Control); err != nil {
		return err
	}
	world.Take(since)
	s.out.printf("controlling the DaemonSets of the cluster from #%d on\n", in.LastSeq())
	return world.Guard(ctx, info.ID, o.probeWait, s.Warn)
}

// leave has a cluster not controlled from here any more. If somebody else controls it the
// log is a record from there on, and the cluster has an Event of it.
func (s *session) leave(ctx context.Context, in *instance.Instance, world *kube.World, o connectOptions, why error) {
	world.Let()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	info, err := in.Log.Info(ctx)
	if err == nil {
		err = world.Unlease(ctx, info.ID)
	}
	var e *events.Error
	if errors.As(why, &e) && e.Code == kube.RivalCode {
		_, _, charted := s.charter(ctx, in, world.Cluster, o, events.Shadow)
		err = errors.Join(err, charted, world.TellRival(ctx, e.Why))
	}
	if err != nil {
		s.Warn(err.Error())
	}
}

// quiet says why a cluster is not taken over: pods would be deleted at once, or
// revisions made. That of pods that are missing some are made is what a controller is for.
func quiet(in *instance.Instance, scope events.Scope) error {
	var told []string
	n, match := 0, scope.Match()
	in.State.Read(func(st *projector.State) {
		rows, _ := in.State.Objects().Of(events.DaemonSet).Snapshot()
		rows.Scan(func(i *table.Item) bool {
			ds := st.DaemonSet(i.Key)
			if ds == nil || !match(ds.Key, ds.Object.Labels) {
				return true
			}
			if what := noise(controller.Wish(st, ds.Key, time.Now())); what != "" {
				if n++; n <= maxTold {
					told = append(told, ds.Key.String()+": "+what)
				}
			}
			return true
		})
	})
	if n == 0 {
		return nil
	}
	if n > maxTold {
		told = append(told, fmt.Sprintf("and %d more", n-maxTold))
	}
	return &events.Error{Code: "E-KUBE-TAKEOVER", What: "taking over would not be silent", Why: strings.Join(told, "; "),
		Do: "let the cluster's own controller end its rollouts first, or give --at-takeover allow", Exit: events.ExitHalt}
}

// noise says what a decision would do at once that nobody has asked for; "": nothing.
func noise(r controller.Result) string {
	deletes, made := 0, 0
	if r.Plan != nil {
		for _, c := range r.Plan.Commands {
			if c.Do == events.DeletePod {
				deletes++
			}
		}
	}
	for _, w := range r.Writes {
		if w.Kind == events.ControllerRevision && w.Verb == events.VerbCreated {
			made++
		}
	}
	var parts []string
	if deletes > 0 {
		parts = append(parts, plural(deletes, "pod")+" would be deleted")
	}
	if made > 0 {
		parts = append(parts, "a revision would be made")
	}
	return strings.Join(parts, ", and ")
}

// noticer writes core Events about what a log tells while a cluster is controlled.
type noticer struct {
	*story.Noticer
	*kube.Notices
	world *kube.World
}

// follow takes an event of the log.
func (n *noticer) follow(e events.Event) {
	told := n.Observe(e)
	if !n.world.Ready() {
		return
	}
	for _, x := range told {
		n.Tell(x.Object, x.Notice)
	}
}
