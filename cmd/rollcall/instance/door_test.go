package instance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/projector"
)

// teller tells an instance events over HTTP, without a port.
type teller struct {
	t      *testing.T
	client *http.Client
}

func newTeller(t *testing.T, in *Instance) teller {
	t.Helper()
	c, err := rest.HTTPClientFor(in.LoopbackAs("teller"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Stop() }) // what fails has been told
	return teller{t, c}
}

// tell sends a body and returns the status and the answer.
func (w teller) tell(body string) (int, string) {
	w.t.Helper()
	r, err := w.client.Post("http://rollcall/v1/events", "application/json", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.StatusCode, strings.TrimSpace(string(b))
}

// took sends a body that has to be taken.
func (w teller) took(body string) string {
	w.t.Helper()
	status, text := w.tell(body)
	if status != http.StatusOK {
		w.t.Fatalf("%s\nwas answered with %d %s", body, status, text)
	}
	return text
}

// An event that was told before is known after a restart. What Kubernetes would
// refuse is refused in its words, at the place where the event has it.
func TestToldAgain(t *testing.T) {
	sandbox(t)
	o := Options{Nodes: 0, Data: t.TempDir(), Durability: natsd.Relaxed}
	in, _ := start(t, o)
	w := newTeller(t, in)
	body := `{"type":"node.observed","source":"/inventory","id":"n-17","subject":"node/n-17","data":{"providerID":"aws:///i-1","capacity":{"cpu":"4"}}}`
	first := w.took(body)
	for text, want := range map[string]string{
		`{"type":"node.observed","subject":"node/n-17","data":{"providerID":"aws:///i-2"}}`:                                                                  `"pointer":"/data/providerID"`,
		`{"type":"node.observed","subject":"node/n-17","data":{"taints":[{"key":"a","effect":"NoSchedule"},{"key":"a","value":"x","effect":"NoSchedule"}]}}`: `"pointer":"/data/taints/1"`,
		`{"type":"node.observed","id":"n-17","source":"/inventory","subject":"node/n-17","data":{}}`:                                                         `E-TOLD-REUSED`,
	} {
		if status, answer := w.tell(text); status < 400 || status >= 500 || !strings.Contains(answer, want) {
			t.Errorf("%s\n%d %s", text, status, answer)
		}
	}
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
	in.stops = nil
	in, _ = start(t, o)
	again := newTeller(t, in).took(body)
	if again != strings.Replace(first, `"duplicate":false`, `"duplicate":true`, 1) {
		t.Errorf("%s\nbefore the restart %s", again, first)
	}
}

// The doors on NATS: a request is answered, a publication is in the log or among the
// rejects.
func TestToldOverNATS(t *testing.T) {
	sandbox(t)
	in, _ := start(t, Options{Memory: true})
	t.Cleanup(func() { _ = in.Stop() })
	ask := func(source, typ, body string) *nats.Msg {
		t.Helper()
		m, err := in.NC.Request(in.Subjects.Ingest(source, typ), []byte(body), patience)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := ask("admin", "node.observed", `{"type":"node.observed","subject":"node/n-1","data":{}}`)
	if !bytes.HasPrefix(m.Data, []byte(`{"accepted":true,"seq":`)) || m.Header.Get("Nats-Service-Error-Code") != "" {
		t.Errorf("%s %v", m.Data, m.Header)
	}
	m = ask("admin", "node.gone", `{"type":"node.observed","subject":"node/n-1","data":{}}`)
	if !bytes.Contains(m.Data, []byte("E-TOLD-TYPE")) || m.Header.Get("Nats-Service-Error-Code") != "422" {
		t.Errorf("%s %v", m.Data, m.Header)
	}
	if m = ask("nobody", "node.gone", `{}`); !bytes.Contains(m.Data, []byte("E-TOLD-SOURCE")) {
		t.Errorf("%s", m.Data)
	}
	rejects, err := in.NC.SubscribeSync(in.Subjects.Rejects("admin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"type":"node.observed","subject":"node/n-2","data":{}}`, `{"type":"node.observed","subject":"x"}`} {
		if err := in.NC.Publish(in.Subjects.Ingest("admin", "node.observed"), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	await(t.Context(), t, in, "the node that was published", func() bool {
		return in.State.Objects().Get(events.Node, events.Key{Name: "n-2"}) != nil
	})
	if m, err := rejects.NextMsg(patience); err != nil || !bytes.Contains(m.Data, []byte("E-TOLD-")) {
		t.Errorf("what was published wrongly is kept as %+v, %v", m, err)
	}
}

// await waits until the log has made something so: it looks again after each event.
func await(ctx context.Context, t *testing.T, in *Instance, what string, so func() bool) {
	t.Helper()
	for {
		var at events.Seq
		in.State.Read(func(s *projector.State) { at = s.Seq() })
		if so() {
			return
		}
		if err := in.State.Await(ctx, at+1); err != nil {
			t.Fatalf("%s did not come: %v", what, err)
		}
	}
}

// agent runs the pods of some nodes and tells how they do.
type agent struct {
	teller
	nodes []string
	pods  kubernetes.Interface
	ran   map[string]string // image by node, of what runs
}

// look does what is due: it starts the pods that are new and ends those that are
// deleted.
func (a *agent) look(ctx context.Context) error {
	list, err := a.pods.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		node := p.Spec.NodeName
		if node == "" {
			node = p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
		}
		told := map[string]any{"uid": string(p.UID)}
		switch {
		case !slices.Contains(a.nodes, node):
			continue
		case p.DeletionTimestamp != nil:
			told["phase"] = "Succeeded"
		case p.Status.Phase != corev1.PodRunning:
			told["phase"], told["ready"], told["podIP"] = "Running", true, "10.1.0.9"
			a.ran[node] = p.Spec.Containers[0].Image
		default:
			continue
		}
		data, err := json.Marshal(told)
		if err != nil {
			return err
		}
		a.took(fmt.Sprintf(`{"type":"pod.status","subject":"pod/default/%s","data":%s}`, p.Name, data))
	}
	return nil
}

// A small agent rolls a DaemonSet over three nodes that it has told of. Nobody else
// acts on them.
func TestAgentRolls(t *testing.T) {
	sandbox(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	in, client := start(t, Options{Memory: true, Controllers: []string{ownController}})
	a := &agent{teller: newTeller(t, in), nodes: []string{"n-1", "n-2", "n-3"}, pods: client, ran: map[string]string{}}
	for _, n := range a.nodes {
		a.took(fmt.Sprintf(`{"type":"node.observed","subject":"node/%s","data":{"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}`, n))
	}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "agent:1"}}}}}}
	if _, err := client.AppsV1().DaemonSets("default").Create(ctx, ds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	settled := func() bool {
		if err := a.look(ctx); err != nil {
			t.Fatal(err)
		}
		is, err := client.AppsV1().DaemonSets("default").Get(ctx, "agent", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if down := is.Status.NumberUnavailable; down > 1 && is.Generation > 1 {
			t.Errorf("%d pods are down at once", down)
		}
		return is.Status.ObservedGeneration == is.Generation && is.Status.UpdatedNumberScheduled == 3 && is.Status.NumberAvailable == 3
	}
	await(ctx, t, in, "the first rollout", settled)
	ds, err := client.AppsV1().DaemonSets("default").Get(ctx, "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ds.Spec.Template.Spec.Containers[0].Image = "agent:2"
	if _, err := client.AppsV1().DaemonSets("default").Update(ctx, ds, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, in, "the second rollout", settled)
	for _, n := range a.nodes {
		if a.ran[n] != "agent:2" {
			t.Errorf("%s runs %s", n, a.ran[n])
		}
	}
	pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) != 3 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	for _, p := range pods.Items {
		if p.Spec.NodeName == "" || p.Status.PodIP == "" || len(p.Status.ContainerStatuses) != 1 || p.Status.StartTime == nil || p.Status.QOSClass == "" {
			t.Errorf("%+v", p.Status)
		}
	}
}
