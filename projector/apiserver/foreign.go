package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// Foreign finds the nodes that rollcall does not play and no source tells of, and
// the pods on them. It decodes nothing else: foreign nodes are few beside the other
// nodes and their pods, of which there may be a hundred thousand.
type Foreign struct{ objects *table.Tables }

// NewForeign returns the foreign nodes of a log.
func NewForeign(objects *table.Tables) *Foreign { return &Foreign{objects} }

// Await returns when there is a foreign node.
func (f *Foreign) Await(ctx context.Context) error {
	return AwaitObject(ctx, f.objects, events.Node, events.RealNode)
}

// Nodes lists and watches the foreign nodes.
func (f *Foreign) Nodes() cache.ListerWatcher {
	return selectionOf(f.objects, events.Node, events.RealNode)
}

// Pods lists and watches the pods that are bound to a foreign node, or to a node
// that is not there.
func (f *Foreign) Pods() cache.ListerWatcher {
	return selectionOf(f.objects, events.Pod, f.holds)
}

func (f *Foreign) holds(pod []byte) bool {
	name := wire.NewCursor(wire.Field(wire.Field(pod, "spec"), "nodeName"))
	if !name.More() {
		return false
	}
	node := f.objects.Of(events.Node).At(string(name.Str()))
	return node == nil || events.RealNode(node.Data)
}

// Well returns one of the other nodes that is ready; nil: there is none.
func (f *Foreign) Well() (well *corev1.Node) {
	nodes, _ := f.objects.Of(events.Node).Snapshot()
	nodes.Scan(func(i *table.Item) bool {
		var n corev1.Node
		if events.RealNode(i.Data) || wire.UnmarshalIn(i.Data, &n, time.Local) != nil {
			return true
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				n.ResourceVersion = strconv.FormatUint(i.Rev, 10)
				well = &n
			}
		}
		return well == nil
	})
	return well
}

// selection is those objects of a table that match, as the API has them but for
// their managed fields.
type selection struct {
	table *table.Table
	match func(data []byte) bool
	codec codec
}

var _ cache.ListerWatcher = (*selection)(nil)

func selectionOf(objects *table.Tables, kind events.Kind, match func(data []byte) bool) *selection {
	return &selection{objects.Of(kind), match, codec{scheme: legacyscheme.Scheme, stored: resourceFor(kind.Group(), kind, "").gvk()}}
}

// IsWatchListSemanticsUnSupported tells reflectors to list first.
func (s *selection) IsWatchListSemanticsUnSupported() bool { return true }

// List implements cache.Lister.
func (s *selection) List(metav1.ListOptions) (runtime.Object, error) {
	items, rev := s.table.Snapshot()
	var found []runtime.Object
	items.Scan(func(i *table.Item) bool {
		if o := s.decode(i); o != nil {
			found = append(found, o)
		}
		return true
	})
	kind := s.codec.stored
	kind.Kind += "List"
	l, err := s.codec.scheme.New(kind)
	if err != nil {
		return nil, err
	}
	return l, errors.Join(versioner.UpdateList(l, max(rev, 1), "", nil), meta.SetList(l, found))
}

// decode returns an object that matches; nil: it does not, or cannot be read,
// which reading it through the API tells.
func (s *selection) decode(i *table.Item) runtime.Object {
	if i == nil || !s.match(i.Data) {
		return nil
	}
	o, err := s.codec.versioned(i.Data, i.Rev)
	if err != nil {
		return nil
	}
	o.(metav1.Object).SetManagedFields(nil)
	return o
}

// Watch implements cache.Watcher.
func (s *selection) Watch(o metav1.ListOptions) (watch.Interface, error) {
	rev, err := strconv.ParseUint(o.ResourceVersion, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("watch from %q: %w", o.ResourceVersion, err)
	}
	to := make(chan watch.Event)
	w := watch.NewProxyWatcher(to)
	go s.follow(w.StopChan(), rev, to)
	return w, nil
}

// follow sends what happens after a revision until it is stopped.
func (s *selection) follow(stop <-chan struct{}, rev uint64, to chan<- watch.Event) {
	defer close(to)
	for c := range changes(stop, s.table, rev) {
		if e, some := s.event(c); some && !send(stop, to, e) {
			return
		}
	}
	status := apierrors.NewResourceExpired("too much has changed since").Status()
	send(stop, to, watch.Event{Type: watch.Error, Object: &status}) // nobody takes it from a watch that was stopped
}

// event says what a change is to the selection.
func (s *selection) event(c table.Change) (watch.Event, bool) {
	was, is := s.decode(c.Prev), s.decode(c.Now)
	switch {
	case is != nil && was != nil:
		return watch.Event{Type: watch.Modified, Object: is}, true
	case is != nil:
		return watch.Event{Type: watch.Added, Object: is}, true
	case was != nil:
		_ = versioner.UpdateObject(was, c.Rev) // it has metadata
		return watch.Event{Type: watch.Deleted, Object: was}, true
	}
	return watch.Event{}, false
}

func send(stop <-chan struct{}, to chan<- watch.Event, e watch.Event) bool {
	select {
	case to <- e:
		return true
	case <-stop:
		return false
	}
}
