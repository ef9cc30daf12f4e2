package executor_test

import (
	"bytes"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/publisher/executor"
)

// collect appends a collection that was decided upon the present end of the log.
func (b *bench) collect(cs ...events.Command) events.Seq {
	b.t.Helper()
	info, err := b.log.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.append(events.GCPlanned, &events.Plan{Basis: events.Basis{Seq: info.Last, Now: b.now}, Commands: cs})
}

func about(do events.Verb, k events.Kind, o metav1.Object) events.Command {
	return events.Command{Do: do, Ref: events.RefFor(k, o), Reason: events.OwnerGone}
}

func config(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: types.UID("uid of " + name)},
		Data: map[string]string{"metadata": "not this"}}
}

// last returns what the newest event about an object says.
func (b *bench) last(k events.Kind, o metav1.Object) events.Event {
	b.t.Helper()
	e, ok, err := b.log.Latest(b.t.Context(), b.s.Object(k, events.RefFor(k, o).Key))
	if err != nil || !ok {
		b.t.Fatalf("%v, %v", ok, err)
	}
	return e
}

// same demands that an event holds the bytes that the object has.
func same(t *testing.T, got []byte, want metav1.Object) {
	t.Helper()
	body, err := events.NewObject(events.ConfigMap, want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, body.Data) {
		t.Errorf("got  %q\nwant %q", got, body.Data)
	}
}

// TestCollect changes the metadata of objects whose kind it does not know, and
// nothing else: the bytes are those that the object would have.
func TestCollect(t *testing.T) {
	b := newBench(t)
	plain, held, owned := config("plain"), config("held"), config("owned")
	held.Finalizers, held.Generation = []string{"a/b"}, 4
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "g"},
		{APIVersion: "v1", Kind: "ConfigMap", Name: "plain", UID: plain.UID}}
	for _, o := range []metav1.Object{plain, held, owned} {
		b.put(events.ConfigMap, events.VerbCreated, o)
	}
	disown := about(events.DisownObject, events.ConfigMap, owned)
	disown.Owners = []types.UID{"g"}
	foreground := about(events.DeleteObject, events.ConfigMap, held)
	foreground.Finalizer = metav1.FinalizerDeleteDependents
	b.collect(about(events.DeleteObject, events.ConfigMap, plain), foreground, disown)
	x := b.executor(executor.LogWorld{})
	x.rest()
	b.want("8/0 configmap.deleted", "8/1 configmap.updated", "8/2 configmap.updated")
	same(t, b.last(events.ConfigMap, plain).Body.(events.Gone).Data, plain)
	owned.OwnerReferences = owned.OwnerReferences[1:]
	same(t, b.last(events.ConfigMap, owned).Body.(events.Object).Data, owned)
	held.Finalizers, held.Generation = append(held.Finalizers, metav1.FinalizerDeleteDependents), 5
	held.DeletionTimestamp, held.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(start)), ptr.To[int64](0)
	same(t, b.last(events.ConfigMap, held).Body.(events.Object).Data, held)

	for _, f := range []string{"nobody/s", metav1.FinalizerDeleteDependents} {
		c := about(events.FinalizeObject, events.ConfigMap, held)
		c.Finalizer = f
		b.collect(c)
		x.rest()
	}
	if b.last(events.ConfigMap, held).Type != "configmap.updated" {
		t.Error("gone, though somebody holds it")
	}
	c := about(events.FinalizeObject, events.ConfigMap, held)
	c.Finalizer = "a/b"
	b.collect(c, about(events.DeleteObject, events.ConfigMap, owned), about("Paint", events.ConfigMap, plain))
	x.rest()
	if b.last(events.ConfigMap, held).Type != "configmap.deleted" || b.last(events.ConfigMap, owned).Type != "configmap.deleted" {
		t.Error("not gone with its last finalizer")
	}
	if n := x.party.(*executor.Executor).Pending(); n != 0 {
		t.Errorf("%d commands are not answered", n)
	}
}

// TestCollectNamespace: what keeps a namespace is part of its spec; somebody else
// empties it.
func TestCollectNamespace(t *testing.T) {
	b := newBench(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "n"}}
	ns.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	b.put(events.Namespace, events.VerbCreated, ns)
	b.collect(about(events.DeleteObject, events.Namespace, ns))
	x := b.executor(executor.LogWorld{})
	x.rest()
	var got corev1.Namespace
	if err := b.last(events.Namespace, ns).Body.(events.Object).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.DeletionTimestamp == nil || got.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("deleted, it is %+v", got)
	}
}

// TestCollectPods ends pods at once if no kubelet can, and else gives them time.
func TestCollectPods(t *testing.T) {
	for name, c := range map[string]struct {
		node, reason string
		want         events.Type
	}{
		"unbound":        {"", "OwnerGone", "pod.deleted"},
		"running":        {"a", "OwnerGone", "pod.updated"},
		"no node":        {"other", "OwnerGone", "pod.deleted"},
		"another's node": {"a", "NodeGone", "pod.deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "p", UID: "p"}, Spec: corev1.PodSpec{NodeName: c.node}}
			b.put(events.Pod, events.VerbCreated, pod)
			command := about(events.DeleteObject, events.Pod, pod)
			command.Reason = events.Reason(c.reason)
			b.collect(command)
			b.executor(executor.LogWorld{}).rest()
			if got := b.last(events.Pod, pod).Type; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestCollectOvertaken: a later fact, another incarnation and a second deletion
// leave nothing to do.
func TestCollectOvertaken(t *testing.T) {
	b := newBench(t)
	changed, gone, again, going, odd := config("changed"), config("gone"), config("again"), config("going"), config("odd")
	going.DeletionTimestamp, going.Finalizers = ptr.To(metav1.NewTime(start)), []string{"a/b"}
	var cs []events.Command
	for _, o := range []*corev1.ConfigMap{changed, gone, again, going} {
		b.put(events.ConfigMap, events.VerbCreated, o)
		cs = append(cs, about(events.DeleteObject, events.ConfigMap, o))
	}
	b.append("configmap.created", events.Object{Ref: events.RefFor(events.ConfigMap, odd), Data: []byte("\x81\xa8metadata\xa1x")})
	cs = append(cs, about(events.DeleteObject, events.ConfigMap, odd))
	b.collect(cs...)
	b.put(events.ConfigMap, events.VerbUpdated, changed)
	b.drop(events.ConfigMap, events.RefFor(events.ConfigMap, gone).Key)
	again.UID = "another"
	b.put(events.ConfigMap, events.VerbCreated, again)
	b.executor(executor.LogWorld{}).rest()
	b.want("10/0 command.overtaken Changed", "10/1 command.overtaken Gone", "10/2 command.overtaken Gone",
		"10/3 command.overtaken Terminating", "10/4 command.failed Unreadable")
}

// TestCollectOnce: two executors, and one whose acknowledgement is lost, do it once.
func TestCollectOnce(t *testing.T) {
	b := newBench(t)
	o := config("o")
	b.put(events.ConfigMap, events.VerbCreated, o)
	b.collect(about(events.DeleteObject, events.ConfigMap, o))
	one, two := b.executor(executor.LogWorld{}), b.executor(executor.LogWorld{})
	one.observe(0)
	two.observe(0)
	lost := false
	b.log.Inject(func([]events.Entry) memlog.Fault {
		if lost {
			return memlog.None
		}
		lost = true
		return memlog.LoseAck
	})
	if !one.step() || !two.step() {
		t.Fatal("nothing was due")
	}
	b.now = b.now.Add(time.Minute)
	one.rest()
	two.rest()
	b.want("6/0 configmap.deleted")
}
