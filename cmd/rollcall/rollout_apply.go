package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/controller/play"
	"rollcall/events"
)

func (s *session) rolloutApply() *cobra.Command {
	c := &cobra.Command{Use: "apply FILE", Short: "Carry out a plan, if what it depends on is still so", Args: takes(1, 1),
		Long: `apply carries out a plan that rollcall plan --out has written, through the Kubernetes
API of the instance. Before that it plays the change from the plan's position and from
the end of the log: if it comes to something else now, it writes nothing, exits 4 and
names the event that makes the difference. What makes none, such as heartbeats, labels
that nothing selects or other DaemonSets, does not stop it. Nobody can come in between:
the write is refused if the DaemonSet has changed meanwhile. Secrets of the manifests are
not in a plan: apply them yourself.`,
		Example: `  rollcall rollout apply plan.json`}
	q := &question{target: addTarget(c), format: "text"}
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		api := *q.target // asking may change it
		config, err := api.config(c.Context())
		if err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.applyPlan(c.Context(), x, q.target.cluster, config, p) })
	}
	return c
}

// applyTries is how often a plan is held against the log anew, because its
// DaemonSet has changed between that and the write.
const applyTries = 5

// guardLonger is how long at most a plan is played to be held against the log.
const guardLonger = time.Hour

func (s *session) applyPlan(ctx context.Context, x *asked, cluster string, config *rest.Config, p *planFile) error {
	if err := p.isOf(ctx, x, cluster); err != nil {
		return err
	}
	subjects, err := events.NewSubjects(cluster)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		moved, err := play.Guard(ctx, x.History, subjects, p.intents, p.At.Seq, x.Span().Last, guardLonger)
		if err != nil {
			return err
		}
		if moved != nil {
			return stale(ctx, x, moved)
		}
		x.log.done()
		if err = s.writePlanned(ctx, x, config, p); err == nil {
			s.warnLeft(*p)
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		if try == applyTries {
			return &events.Error{Code: "E-PLAN-STALE", What: "the plan was not carried out", Why: "its objects are being changed all the time: " + err.Error(), Do: "plan again", Exit: events.ExitBusy, Err: err}
		}
		if err := x.open(ctx); err != nil {
			return err
		}
	}
}

// isOf refuses a plan of another log.
func (p *planFile) isOf(ctx context.Context, x *asked, cluster string) error {
	info, err := x.log.Info(ctx)
	if err != nil {
		return err
	}
	bad := func(why string) error {
		return &events.Error{Code: "E-PLAN-LOG", What: "the plan is of another log", Where: x.log.dir, Why: why, Do: "plan again", Exit: events.ExitInput}
	}
	switch {
	case p.Cluster != cluster:
		return bad(fmt.Sprintf("it is of cluster %s, and this is %s", p.Cluster, cluster))
	case p.Log != info.ID || p.At.Seq > x.Span().Last:
		return bad("its position is not in this one")
	}
	st, err := x.At(ctx, p.At.Seq)
	if err != nil {
		return err
	}
	if fmt.Sprintf("%x", st.Position().Chain) != p.Chain {
		return bad(fmt.Sprintf("this one holds something else up to #%d", p.At.Seq))
	}
	return nil
}

// stale says which event has made a plan no longer good.
func stale(ctx context.Context, x *asked, m *play.Moved) error {
	step, err := x.Step(ctx, m.Seq)
	if err != nil {
		return err
	}
	return &events.Error{Code: "E-PLAN-STALE", What: fmt.Sprintf("the plan of ds/%s does not hold any more: %s", m.DaemonSet, m.Says), Where: fmt.Sprintf("#%d", m.Seq),
		Why: stepText(step), Do: "plan again", Exit: events.ExitBusy}
}

// writePlanned writes the objects of a plan: the DaemonSets as the log has them,
// or not at all. Namespaces come first: nothing in one can be rehearsed before it
// is there.
func (s *session) writePlanned(ctx context.Context, x *asked, config *rest.Config, p *planFile) error {
	st, err := x.At(ctx, x.Span().Last)
	if err != nil {
		return err
	}
	var namespaces, others []*manifest.Document
	for i, o := range p.Objects {
		d, err := manifest.Made("the plan", o.Change, o.Partial)
		if err != nil {
			return err
		}
		r := p.intents[i].After.Ref
		if r.Kind == events.Namespace {
			namespaces = append(namespaces, d)
			continue
		}
		if r.Kind == events.DaemonSet {
			version := ""
			if _, last, is := st.Object(r.Kind, r.Key); is {
				version = fmt.Sprint(last)
			}
			d.Expect(version)
		}
		others = append(others, d)
	}
	for _, docs := range [][]*manifest.Document{namespaces, others} {
		a, err := manifest.NewApplier(config, "", docs, s.Warn)
		if err == nil {
			err = a.Rehearse(ctx)
		}
		if err == nil {
			err = a.Apply(ctx, s.Print)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
