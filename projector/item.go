package projector

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

// Item is what collection reads of one object. Pods that a DaemonSet alone
// owns have none: the DaemonSet's own plans look after them.
type Item struct {
	events.Ref
	Owners     []Owner
	Finalizers []string
	Deleting   bool

	plight  Plight
	since   time.Time // Adrift: log time at which it came to be
	refused bool      // the last command about it failed, and it has not changed since
	pod     *Pod      // of a Pod
}

// Owner is one owner of an item: an object, or what is none that a log could
// say anything about.
type Owner struct {
	events.Ref      // as it would have to be for the item to be owned by it
	Known      bool // the log holds all objects of its kind, and it may own the item
	Blocks     bool // it waits for the item when it is deleted in the foreground
	Controls   bool
}

// has reports whether a finalizer is on the item.
func (it *Item) has(finalizer string) bool { return slices.Contains(it.Finalizers, finalizer) }

// Orphaning reports whether the object is deleted and leaves its dependents.
func (it *Item) Orphaning() bool { return it.Deleting && it.has(metav1.FinalizerOrphanDependents) }

// Waiting reports whether the object is deleted after its dependents.
func (it *Item) Waiting() bool {
	return it.Deleting && it.has(metav1.FinalizerDeleteDependents) && !it.Orphaning()
}

func newItemTree() *btree.BTreeG[*Item] {
	return btree.NewBTreeGOptions(func(a, b *Item) bool { return a.Ref.Compare(b.Ref) < 0 }, btree.Options{NoLocks: true})
}

func newDriftTree() *btree.BTreeG[*Item] {
	return btree.NewBTreeGOptions(func(a, b *Item) bool {
		return cmp.Or(a.since.Compare(b.since), a.Ref.Compare(b.Ref)) < 0
	}, btree.Options{NoLocks: true})
}

// viewItem walks the bytes of an object once. One that cannot be read has
// neither owners nor finalizers.
func viewItem(ref events.Ref, data []byte) *Item {
	it := &Item{Ref: ref}
	c := wire.NewCursor(data)
	for range c.Map() {
		switch string(c.Str()) {
		case "metadata":
			it.readMeta(&c)
		default:
			c.Skip()
		}
	}
	if c.Err() != nil {
		return &Item{Ref: ref}
	}
	return it
}

func (it *Item) readMeta(c *wire.Cursor) {
	for range c.Map() {
		switch string(c.Str()) {
		case "uid":
			if b := c.Str(); it.UID == "" {
				it.UID = types.UID(b)
			}
		case "deletionTimestamp":
			it.Deleting = len(c.Str()) > 0
		case "finalizers":
			for range c.Array() {
				it.Finalizers = append(it.Finalizers, string(c.Str()))
			}
		case "ownerReferences":
			for range c.Array() {
				it.Owners = append(it.Owners, readOwner(c, it.Ref))
			}
		default:
			c.Skip()
		}
	}
}

// readOwner reads one owner reference of an object. An owner is in the
// namespace of what it owns, or in none.
func readOwner(c *wire.Cursor, of events.Ref) (o Owner) {
	var group string
	for range c.Map() {
		switch string(c.Str()) {
		case "apiVersion":
			if g, _, ok := strings.Cut(string(c.Str()), "/"); ok {
				group = g
			}
		case "kind":
			o.Kind = events.Kind(c.Str())
		case "name":
			o.Key.Name = string(c.Str())
		case "uid":
			o.UID = types.UID(c.Str())
		case "controller":
			o.Controls = c.Bool()
		case "blockOwnerDeletion":
			o.Blocks = c.Bool()
		default:
			c.Skip()
		}
	}
	namespaced, known := events.Kept(group, o.Kind)
	o.Known = known && (!namespaced || of.Key.Namespace != "")
	if namespaced {
		o.Key.Namespace = of.Key.Namespace
	}
	return o
}
