package executor

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/table"
)

// commands is the fold of a log that an executor acts on: which commands are
// not answered yet, and the objects that carrying them out needs. An event
// with the cause of a command answers it, whatever else it says.
type commands struct {
	pending map[events.Cause]*order
	queues  map[events.Ref][]*order // of each object, by cause; only the first may be under way
	ready   ready                   // the first of their queues that are not under way

	objects   table.Reader              // what the commands are about
	own       *table.Tables             // objects, if no other fold of the process fills them; or nil
	spoiled   map[events.Key]events.Seq // the last event of a pod's subject, if it is not believed
	nodes     map[string]nodeFact
	sets      map[events.Key]*setFact
	revisions map[events.Key]*revisionFact
	byHash    map[hashKey]events.Key
}

// order is a command that is not answered.
type order struct {
	cause   events.Cause
	basis   events.Basis // of the plan
	owner   events.Ref   // of the plan
	command events.Command

	underway bool
	seen     events.Seq // the end of its pod, when it was handed out
	tries    int        // that failed
	from     time.Time  // not before
}

// queue names the object that the command is about, whatever its incarnation.
func (o *order) queue() events.Ref { return events.Ref{Kind: o.command.Kind, Key: o.command.Key} }

// nodeFact is a node as the log last told it.
type nodeFact struct {
	uid  types.UID
	real bool // it has a kubelet of its own
}

// setFact is a DaemonSet as the log last told it, decoded when a command needs it.
type setFact struct {
	object  events.Object
	decoded *appsv1.DaemonSet
}

type hashKey struct {
	owner types.UID
	hash  string
}

type revisionFact struct {
	key      hashKey
	data     []byte
	template *corev1.PodTemplateSpec // nil until a command needs it
}

func newCommands() *commands {
	own := table.New(table.History{})
	c := &commands{
		objects: own, own: own,
		pending: map[events.Cause]*order{}, queues: map[events.Ref][]*order{},
		spoiled: map[events.Key]events.Seq{}, nodes: map[string]nodeFact{},
		sets: map[events.Key]*setFact{}, revisions: map[events.Key]*revisionFact{}, byHash: map[hashKey]events.Key{},
	}
	c.ready = newReady()
	return c
}

// observe folds one event.
func (c *commands) observe(e events.Event) {
	if c.own != nil {
		c.own.Take(e)
	}
	switch b := e.Body.(type) {
	case events.Object:
		c.object(b)
	case events.Gone:
		c.gone(b.Ref)
	case *events.Plan:
		c.plan(e.Seq, b)
	case events.Unreadable:
		c.unreadable(e)
	}
	if !e.Cause.IsZero() {
		c.answered(e.Cause)
	}
}

func (c *commands) plan(seq events.Seq, p *events.Plan) {
	for i, command := range p.Commands {
		c.add(&order{cause: events.Cause{Seq: seq, Index: i}, basis: p.Basis, owner: p.Owner, command: command})
	}
}

// add puts a command behind those about the same object.
func (c *commands) add(o *order) {
	c.pending[o.cause] = o
	q := o.queue()
	c.queues[q] = append(c.queues[q], o)
	if len(c.queues[q]) == 1 {
		c.ready.put(o)
	}
}

// answered forgets a command and lets the next one about its object come forward.
func (c *commands) answered(cause events.Cause) {
	o, ok := c.pending[cause]
	if !ok {
		return
	}
	delete(c.pending, cause)
	c.ready.drop(o)
	q := o.queue()
	rest := slices.DeleteFunc(c.queues[q], func(x *order) bool { return x == o })
	if len(rest) == 0 {
		delete(c.queues, q)
		return
	}
	c.queues[q] = rest
	if !rest[0].underway {
		c.ready.put(rest[0])
	}
}

// moved lets the command that waits for a pod to move try again at once.
func (c *commands) moved(pod events.Key) {
	if os := c.queues[events.Ref{Kind: events.Pod, Key: pod}]; len(os) > 0 && !os[0].underway {
		c.rearm(os[0], time.Time{})
	}
}

// rearm makes o ready from a time on.
func (c *commands) rearm(o *order, from time.Time) {
	c.ready.drop(o)
	o.underway, o.from = false, from
	if c.pending[o.cause] == o {
		c.ready.put(o)
	}
}

func (c *commands) object(o events.Object) {
	switch o.Kind {
	case events.Pod:
		delete(c.spoiled, o.Key)
		c.moved(o.Key)
	case events.Node:
		c.nodes[o.Key.Name] = nodeFact{o.UID, events.RealNode(o.Data)}
	case events.DaemonSet:
		c.sets[o.Key] = &setFact{object: o}
	case events.ControllerRevision:
		c.revision(o)
	}
}

// unreadable lets a pod be made or changed behind an event of its subject that
// is not believed.
func (c *commands) unreadable(e events.Event) {
	of, key := events.Under(e.Subject)
	if of != strings.ToLower(string(events.Pod)) {
		return
	}
	c.spoiled[key] = e.Seq
	c.moved(key)
}

func (c *commands) gone(r events.Ref) {
	switch r.Kind {
	case events.Pod:
		delete(c.spoiled, r.Key)
		c.moved(r.Key)
	case events.Node:
		delete(c.nodes, r.Key.Name)
	case events.DaemonSet:
		delete(c.sets, r.Key)
	case events.ControllerRevision:
		c.forgetRevision(r.Key)
	}
}

// revision files a revision under its controller and hash. One that cannot be
// read is as if it were not there: its creates are overtaken.
func (c *commands) revision(o events.Object) {
	c.forgetRevision(o.Key)
	var r appsv1.ControllerRevision
	if o.Decode(&r) != nil {
		return
	}
	owner := metav1.GetControllerOf(&r)
	if owner == nil || r.Labels[daemonpod.RevisionLabel] == "" {
		return
	}
	f := &revisionFact{key: hashKey{owner.UID, r.Labels[daemonpod.RevisionLabel]}, data: r.Data.Raw}
	c.revisions[o.Key] = f
	c.byHash[f.key] = o.Key
}

func (c *commands) forgetRevision(key events.Key) {
	if f, ok := c.revisions[key]; ok {
		delete(c.revisions, key)
		if c.byHash[f.key] == key {
			delete(c.byHash, f.key)
		}
	}
}

// template returns the template of a revision; nil if it is not known. It is
// shared and never modified.
func (c *commands) template(owner types.UID, hash string) *corev1.PodTemplateSpec {
	key, ok := c.byHash[hashKey{owner, hash}]
	if !ok {
		return nil
	}
	f := c.revisions[key]
	if f.template == nil {
		t, err := daemonpod.Template(f.data)
		if err != nil {
			return nil
		}
		daemonpod.SetDefaults(t)
		f.template = t
	}
	return f.template
}

// daemonSet returns the incarnation of a DaemonSet that r names; nil if it is
// not there. It is shared and never modified.
func (c *commands) daemonSet(r events.Ref) *appsv1.DaemonSet {
	f, ok := c.sets[r.Key]
	if !ok || f.object.UID != r.UID {
		return nil
	}
	if f.decoded == nil {
		ds := new(appsv1.DaemonSet)
		if f.object.Decode(ds) != nil {
			return nil
		}
		f.decoded = ds
	}
	return f.decoded
}
