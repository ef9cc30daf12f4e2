package instance

import (
	"context"
	"errors"
	"fmt"
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

// Found gives a new cluster its nodes, and ends what an up before was stopped
// at. A cluster that has its nodes keeps them, whatever --nodes says.
func (in *Instance) Found(ctx context.Context) error {
	o := in.Options
	f := datadir.Founding{Cluster: o.Cluster, Nodes: o.Nodes, Seed: o.Seed}
	dir := ""
	if in.Server != nil {
		dir = in.Server.Dir()
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
	if has := in.nodeCount(); (f.Added || has > 0) && o.NodesGiven && o.Nodes != f.Nodes {
		o.Console.Print("keeping the " + countNodes(has) + " of the log: --nodes is for a new cluster; use rollcall node add or rollcall kubectl delete node")
	}
	if f.Added {
		return nil
	}
	if dir != "" {
		if err := datadir.SaveFounding(dir, f); err != nil {
			return err
		}
	}
	if err := in.addNodes(ctx, f); err != nil {
		return err
	}
	if f.Added = true; dir == "" {
		return nil
	}
	return datadir.SaveFounding(dir, f)
}

func (in *Instance) nodeCount() (n int) {
	in.State.Read(func(st *projector.State) { n = st.NodeCount() })
	return n
}

// addNodes appends those nodes of a founding that the log does not hold.
func (in *Instance) addNodes(ctx context.Context, f datadir.Founding) error {
	var missing []events.Entry
	now := time.Now()
	var err error
	in.State.Read(func(st *projector.State) {
		for _, n := range simkubelet.NewNodes(f.Nodes, f.Seed) {
			if st.Node(n.Name) != nil {
				continue
			}
			n.CreationTimestamp = metav1.NewTime(now.UTC().Truncate(time.Second))
			o, bad := events.NewObject(events.Node, n)
			err = errors.Join(err, bad)
			missing = append(missing, events.Entry{Event: events.Event{ID: ulid.Make(), Type: events.ObjectType(events.Node, events.VerbCreated),
				Source: upSource, Actor: in.User, Body: o}})
		}
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	var last events.Seq
	for len(missing) > 0 {
		part := missing[:min(len(missing), maxAppend)]
		if last, err = drive.Submit(ctx, in.Log, part...); err != nil {
			return err
		}
		missing = missing[len(part):]
	}
	in.Console.Print(countNodes(f.Nodes) + " added")
	if err := in.State.Await(ctx, last); err != nil {
		return err
	}
	return in.awaitNodes(ctx)
}

// joinWait bounds the wait for new nodes: what is applied then does not need them.
const joinWait = 10 * time.Second

// awaitNodes waits until new nodes have joined, so that a rollout over them
// begins with all of them and not with those that were first.
func (in *Instance) awaitNodes(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	for late := []string(nil); !in.joined(&late); {
		select {
		case <-time.After(changeCheck):
		case <-waiting.Done():
			return ctx.Err()
		}
	}
	return nil
}

// countNodes writes a number of nodes.
func countNodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
