package instance

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/ahead"
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

// addNodes appends those nodes of a founding that the log does not hold. They are
// made while those before them are appended.
func (in *Instance) addNodes(ctx context.Context, f datadir.Founding) error {
	has := map[string]bool{}
	in.State.Read(func(st *projector.State) {
		for n := range st.Nodes() {
			has[n.Name] = true
		}
	})
	var last events.Seq
	var part []events.Entry
	submit := func() (err error) {
		if len(part) > 0 {
			last, err = drive.Submit(ctx, in.Log, part...)
			part = nil
		}
		return err
	}
	for e, err := range ahead.Look(in.newNodes(f, has), func(*events.Entry) {}) {
		if err != nil {
			return err
		}
		if part = append(part, e); len(part) < maxAppend {
			continue
		}
		if err := submit(); err != nil {
			return err
		}
	}
	if err := submit(); err != nil || last == 0 {
		return err
	}
	in.Console.Print(countNodes(f.Nodes) + " added")
	if err := in.State.Await(ctx, last); err != nil {
		return err
	}
	return in.awaitNodes(ctx)
}

// newNodes yields the nodes of a founding but for those that are there.
func (in *Instance) newNodes(f datadir.Founding, has map[string]bool) iter.Seq2[events.Entry, error] {
	now := metav1.NewTime(time.Now().UTC().Truncate(time.Second))
	return func(yield func(events.Entry, error) bool) {
		for n := range simkubelet.NewNodes(f.Nodes, f.Seed) {
			if has[n.Name] {
				continue
			}
			n.CreationTimestamp = now
			o, err := events.NewObject(events.Node, n)
			if !yield(events.Entry{Event: events.Event{ID: ulid.Make(), Type: events.ObjectType(events.Node, events.VerbCreated),
				Source: upSource, Actor: in.User, Body: o}}, err) {
				return
			}
		}
	}
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
