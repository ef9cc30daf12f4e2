package play

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller/replay"
	"rollcall/events"
)

// Intent is an object as it is, and as somebody wants it to be.
type Intent struct{ Before, After events.Object } // Before has no data if it is not there

// Insert is an intent, and the moment from which on it is so.
type Insert struct {
	Intent
	At replay.Moment
}

// NewIntent returns an intent for an object as a server has it and would have it;
// before is nil if it is not there.
func NewIntent(kind events.Kind, before, after map[string]any) (i Intent, err error) {
	u := &unstructured.Unstructured{Object: after}
	r := events.Ref{Kind: kind, Key: events.Key{Namespace: u.GetNamespace(), Name: u.GetName()}, UID: u.GetUID()}
	if before == nil { // a dry run gives each another
		r.UID = events.DerivedUID(sha256.Sum256(fmt.Appendf(nil, "intent %s %s", kind, r.Key)))
	} else if i.Before, err = objectOf(r, bare(before, r.UID)); err != nil {
		return i, err
	}
	i.After, err = objectOf(r, bare(after, r.UID))
	return i, err
}

// bare returns an object as a log has it.
func bare(tree map[string]any, uid types.UID) map[string]any {
	tree = runtime.DeepCopyJSON(tree)
	delete(tree, "apiVersion")
	delete(tree, "kind")
	for _, field := range []string{"managedFields", "resourceVersion"} {
		unstructured.RemoveNestedField(tree, "metadata", field)
	}
	_ = unstructured.SetNestedField(tree, string(uid), "metadata", "uid") // metadata is a map
	return tree
}

// New reports whether the object is not there yet.
func (i Intent) New() bool { return len(i.Before.Data) == 0 }

// Changes reports whether the object is to be otherwise than it is.
func (i Intent) Changes() bool { return i.New() || events.Worth(i.Before, i.After) }

// at returns the object as it is to be in a cluster whose object is now so, if
// there is one; ok is false if the intent is about another.
func (i Intent) at(now events.Object, is bool, when time.Time) (o events.Object, ok bool, err error) {
	switch {
	case is == i.New(), is && now.UID != i.Before.UID:
		return o, false, nil
	case is:
		o, err = rebase(now, i.Before, i.After)
		return o, true, err
	}
	tree, err := treeOf(i.After)
	if err != nil {
		return o, false, err
	}
	if err := unstructured.SetNestedField(tree, when.UTC().Format(time.RFC3339), "metadata", "creationTimestamp"); err != nil {
		return o, false, err
	}
	o, err = objectOf(i.After.Ref, tree)
	return o, true, err
}

// write has an intent come true, and reports whether its object is such that it
// can.
func (c *Cluster) write(ctx context.Context, i Intent) (bool, error) {
	if err := c.Observe(ctx); err != nil {
		return false, err
	}
	now, _, is := c.State.Object(i.After.Kind, i.After.Key)
	o, ok, err := i.at(now, is, c.now)
	if err != nil || !ok {
		return false, err
	}
	verb := events.VerbUpdated
	if !is {
		verb = events.VerbCreated
	}
	_, err = c.Log.Append(ctx, events.Entry{Event: events.Event{ID: c.ID(), Type: events.ObjectType(o.Kind, verb), Source: "what-if", Actor: "what-if",
		Verb: "patch", Change: "what is asked", At: c.now, Body: o}})
	if err != nil {
		return false, fmt.Errorf("write %s %s: %w", o.Kind, o.Key, err)
	}
	return true, c.Observe(ctx)
}
