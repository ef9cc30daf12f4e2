package apiserver

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/wire"
)

// bad appends a fact that only Kubernetes' decoder refuses.
func (c *cluster) bad(t *testing.T, k events.Kind, key events.Key, object string) events.Seq {
	t.Helper()
	data, err := wire.Marshal(json.RawMessage(object))
	if err != nil {
		t.Fatal(err)
	}
	return c.append(t, events.ObjectType(k, events.VerbCreated), events.Object{Ref: events.Ref{Kind: k, Key: key, UID: "bad"}, Data: data})
}

const badNode = `{"metadata":{"name":"nan","uid":"bad"},"status":{"capacity":{"cpu":"NaN"}}}`

// One object that cannot be read spoils nothing: the others are listed, with a
// warning that names it; reading it says why; it can be deleted.
//
// finding H5
func TestOneBadObject(t *testing.T) {
	for _, when := range []string{"before the first read", "after it"} {
		t.Run(when, func(t *testing.T) {
			c := newCluster(t)
			config := c.server.Loopback()
			warnings := &warned{}
			config.WarningHandler = warnings
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			nodes := client.CoreV1().Nodes()
			list := func() []corev1.Node {
				t.Helper()
				*warnings = nil
				l, err := nodes.List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return l.Items
			}
			if when == "after it" {
				list()
			}
			if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "good"}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			c.bad(t, events.Node, events.Key{Name: "nan"}, badNode)
			if got := list(); len(got) != 1 || got[0].Name != "good" || len(*warnings) != 1 || !strings.Contains((*warnings)[0], `Node "nan" is left out`) {
				t.Errorf("nodes %v with warnings %q", got, *warnings)
			}
			if text, err := c.server.objectsHealth(); err != nil || !strings.HasPrefix(text, "1 that cannot be read, left out of lists: a Node at #") {
				t.Errorf("health of the objects: %q, %v", text, err)
			}
			_, err = nodes.Get(t.Context(), "nan", metav1.GetOptions{})
			if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "Node nan as revision") || !strings.Contains(err.Error(), "kubectl delete node nan") {
				t.Errorf("get: %v", err)
			}
			if err := nodes.Delete(t.Context(), "nan", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
				t.Errorf("dry run: %v", err)
			}
			if err := nodes.Delete(t.Context(), "nan", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("other")}); !apierrors.IsConflict(err) {
				t.Errorf("delete another one of its name: %v", err)
			}
			if err := nodes.Delete(t.Context(), "nan", metav1.DeleteOptions{}); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err = nodes.Get(t.Context(), "nan", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("get after it was deleted: %v", err)
			}
			if got := list(); len(got) != 1 || len(*warnings) != 0 {
				t.Errorf("then nodes %v with warnings %q", got, *warnings)
			}
		})
	}
}

// A warning is of the namespace that is asked for.
//
// finding H5
func TestWarningsOfOneNamespace(t *testing.T) {
	c := newCluster(t)
	c.bad(t, events.Secret, events.Key{Namespace: "default", Name: "s"}, `{"metadata":{"namespace":"default","name":"s","uid":"bad"},"data":7}`)
	config := c.server.Loopback()
	warnings := &warned{}
	config.WarningHandler = warnings
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for ns, want := range map[string]int{"default": 1, "kube-system": 0, "": 1} {
		*warnings = nil
		if _, err := client.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{}); err != nil || len(*warnings) != want {
			t.Errorf("secrets of %q: warnings %q, %v", ns, *warnings, err)
		}
	}
	if err := client.CoreV1().Secrets("default").Delete(t.Context(), "s", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// Who watches is told of an object that cannot be read any more as if it were
// gone, and of one that can be again as if it were new.
//
// finding H5
func TestWatchOverABadObject(t *testing.T) {
	c := newCluster(t)
	nodes := c.client.CoreV1().Nodes()
	w, err := nodes.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	put := func(name string, unschedulable bool) {
		body, err := events.NewObject(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}, Spec: corev1.NodeSpec{Unschedulable: unschedulable}})
		if err != nil {
			t.Fatal(err)
		}
		c.append(t, "node.updated", body)
	}
	put("nan", false)
	c.bad(t, events.Node, events.Key{Name: "nan"}, badNode)
	put("good", false)
	put("nan", true)
	put("nan", false)
	for _, want := range []struct {
		kind watch.EventType
		name string
	}{{watch.Added, "nan"}, {watch.Deleted, "nan"}, {watch.Added, "good"}, {watch.Added, "nan"}, {watch.Modified, "nan"}} {
		e := <-w.ResultChan()
		if n, ok := e.Object.(*corev1.Node); !ok || e.Type != want.kind || n.Name != want.name {
			t.Fatalf("%s %+v, want %s %s", e.Type, e.Object, want.kind, want.name)
		}
	}
}

// Neither grace nor finalizers hold an object that cannot be read, and its
// namespace does not wait for a controller.
//
// finding H5
func TestBadObjectsGoAtOnce(t *testing.T) {
	c := newCluster(t)
	rest := c.client.CoreV1().RESTClient()
	for path, bad := range map[string]struct {
		kind   events.Kind
		key    events.Key
		object string
	}{
		"/api/v1/namespaces/default/pods/p": {events.Pod, events.Key{Namespace: "default", Name: "p"}, `{"metadata":{"name":"p","namespace":"default","uid":"bad","finalizers":["x/y"]},"spec":{"nodeName":"n","containers":7}}`},
		"/api/v1/namespaces/n":              {events.Namespace, events.Key{Name: "n"}, `{"metadata":{"name":"n","uid":"bad"},"spec":7}`},
		"/apis/apps/v1/namespaces/default/daemonsets/d": {events.DaemonSet, events.Key{Namespace: "default", Name: "d"},
			`{"metadata":{"name":"d","namespace":"default","uid":"bad","labels":7},"spec":7}`},
	} {
		seq := c.bad(t, bad.kind, bad.key, bad.object)
		if err := c.objects.Await(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		if err := rest.Delete().AbsPath(path).Do(t.Context()).Error(); err != nil {
			t.Errorf("delete %s: %v", path, err)
		}
		if i := c.objects.Of(bad.kind).Get(bad.key); i != nil {
			t.Errorf("%s is there at #%d", path, i.Rev)
		}
	}
}
