package main

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/projector"
	"rollcall/publisher/simkubelet"
)

// upSource is the source of the events with which up begins a cluster.
const upSource = "up"

// maxAppend is how many events a log takes at once.
const maxAppend = 500

// found gives a new cluster its nodes, and ends what an up before was stopped
// at. A cluster that has its nodes keeps them, whatever --nodes says.
func (s *session) found(ctx context.Context, in *instance, o upOptions) error {
	f := datadir.Founding{Cluster: o.cluster, Nodes: o.nodes, Seed: o.seed}
	dir := ""
	if in.server != nil {
		dir = in.server.Dir()
		was, found, err := datadir.LoadFounding(dir)
		if err != nil {
			return err
		}
		if found && (was.Added || in.nodeCount() > 0) {
			f = was
		}
		if in.keeping != nil && in.keeping.Lost() && in.nodeCount() == 0 {
			f.Added = false // the power took them
		}
	} else if in.nodeCount() > 0 {
		f.Added, f.Nodes = true, in.nodeCount()
	}
	if f.Added || in.nodeCount() > 0 {
		if has := in.nodeCount(); o.nodesGiven && o.nodes != f.Nodes {
			s.out.printf("keeping the %d nodes of the log: --nodes is for a new cluster; use rollcall node add or delete\n", has)
		}
	}
	if f.Added {
		return nil
	}
	if dir != "" {
		if err := datadir.SaveFounding(dir, f); err != nil {
			return err
		}
	}
	if err := in.addNodes(ctx, s, f); err != nil {
		return err
	}
	if f.Added = true; dir == "" {
		return nil
	}
	return datadir.SaveFounding(dir, f)
}

func (in *instance) nodeCount() (n int) {
	in.state.Read(func(st *projector.State) { n = st.NodeCount() })
	return n
}

// addNodes appends those nodes of a founding that the log does not hold.
func (in *instance) addNodes(ctx context.Context, s *session, f datadir.Founding) error {
	var missing []events.Entry
	now := time.Now()
	var err error
	in.state.Read(func(st *projector.State) {
		for _, n := range simkubelet.NewNodes(f.Nodes, f.Seed) {
			if st.Node(n.Name) != nil {
				continue
			}
			n.CreationTimestamp = metav1.NewTime(now.UTC().Truncate(time.Second))
			o, bad := events.NewObject(events.Node, n)
			err = errors.Join(err, bad)
			missing = append(missing, events.Entry{Event: events.Event{ID: ulid.Make(), Type: events.ObjectType(events.Node, events.VerbCreated),
				Source: upSource, Actor: actor(), Body: o}})
		}
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	var last events.Seq
	for len(missing) > 0 {
		part := missing[:min(len(missing), maxAppend)]
		if last, err = drive.Submit(ctx, in.log, part...); err != nil {
			return err
		}
		missing = missing[len(part):]
	}
	s.out.printf("%s added\n", plural(f.Nodes, "node"))
	if err := in.state.Await(ctx, last); err != nil {
		return err
	}
	return in.awaitNodes(ctx)
}

// joinWait bounds the wait for new nodes: what is applied then does not need them.
const joinWait = 10 * time.Second

// awaitNodes waits until new nodes have joined, so that a rollout over them
// begins with all of them and not with those that were first.
func (in *instance) awaitNodes(ctx context.Context) error {
	enough := time.NewTimer(joinWait)
	defer enough.Stop()
	look := time.NewTicker(changeCheck)
	defer look.Stop()
	for !in.joined() {
		select {
		case <-look.C:
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
