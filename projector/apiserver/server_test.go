package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/projector/apiserver/access"
)

// A new cluster has its namespaces, and each of them its account and the
// certificate of the API.
func TestNewCluster(t *testing.T) {
	c := newCluster(t)
	namespaces, err := c.client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range namespaces.Items {
		names = append(names, n.Name)
	}
	if !slices.Equal(names, systemNamespaces) {
		t.Errorf("namespaces %v, want %v", names, systemNamespaces)
	}
	for _, ns := range names {
		if _, err := c.client.CoreV1().ServiceAccounts(ns).Get(t.Context(), defaultAccount, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
		m, err := c.client.CoreV1().ConfigMaps(ns).Get(t.Context(), rootCA, metav1.GetOptions{})
		if err != nil || m.Data["ca.crt"] != string(c.server.config.CA) {
			t.Errorf("certificate of %s: %v, %v", ns, m, err)
		}
	}
}

// What the API writes says who asked for what through what, and what changed.
func TestWritesAreEvents(t *testing.T) {
	c := newCluster(t)
	admin := c.as(t, "kubectl-edit/v1.36.3 (test)")
	maps := admin.CoreV1().ConfigMaps("default")
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}
	before := c.objects.Position()
	made, err := maps.Create(t.Context(), m, metav1.CreateOptions{FieldManager: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Update(t.Context(), made, metav1.UpdateOptions{}); err != nil { // nothing changes
		t.Fatal(err)
	}
	patched, err := maps.Patch(t.Context(), "m", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "m", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	type line struct{ typ, actor, verb, manager, change string }
	want := []line{
		{"configmap.created", access.Admin, "create", "mine", ""},
		{"configmap.updated", access.Admin, "patch", "kubectl-edit", "label a=b"},
		{"configmap.deleted", access.Admin, "delete", "kubectl-edit", ""},
	}
	var got []line
	for e, err := range c.log.Read(t.Context(), before) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line{string(e.Type), e.Actor, e.Verb, e.Manager, e.Change})
		if e.Type == "configmap.updated" && patched.ResourceVersion != fmt.Sprint(e.Seq) {
			t.Errorf("resourceVersion %s of the event at %d", patched.ResourceVersion, e.Seq)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%v\nwant\n%v", got, want)
	}
}

// Objects that others append are there for clients, with the position as
// their resourceVersion and the defaults of what was left out.
func TestFactsAreObjects(t *testing.T) {
	c := newCluster(t)
	w, err := c.client.CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	body, err := events.NewObject(events.Pod, pod)
	if err != nil {
		t.Fatal(err)
	}
	seq := c.append(t, "pod.created", body)
	got := (<-w.ResultChan()).Object.(*corev1.Pod)
	if got.ResourceVersion != fmt.Sprint(seq) || got.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		t.Errorf("pod %+v, at %d", got, seq)
	}
}

// A read sees what anybody has written before it, also if the tables have not:
// it waits.
func TestReadsWhatOthersWrote(t *testing.T) {
	c := newCluster(t)
	maps := c.client.CoreV1().ConfigMaps("default")
	body, err := events.NewObject("ConfigMap", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}})
	if err != nil {
		t.Fatal(err)
	}
	list := func(version string) (int, error) {
		l, err := maps.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=m", ResourceVersion: version})
		return len(l.Items), err
	}
	if n, err := list(""); n != 0 || err != nil { // and the watch cache has started
		t.Fatal(n, err)
	}
	c.held.Lock()
	c.append(t, "configmap.created", body)
	results := make(chan error, 2)
	go func() {
		_, err := maps.Get(t.Context(), "m", metav1.GetOptions{})
		results <- err
	}()
	go func() {
		n, err := list("")
		if n != 1 && err == nil {
			err = fmt.Errorf("the list has %d objects", n)
		}
		results <- err
	}()
	// Meanwhile reads of any age are answered with what is known.
	for range 50 {
		if n, err := list("0"); n != 0 || err != nil {
			t.Errorf("a list of any age: %d objects, %v", n, err)
		}
	}
	c.held.Unlock()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// Core Events are shown from the log, and those that are made are kept.
func TestEventsAreAView(t *testing.T) {
	c := newCluster(t)
	evs := c.client.CoreV1().Events("default")
	list := func() (names []string) {
		l, err := evs.List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=ds"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.Items {
			names = append(names, fmt.Sprintf("%s %s %s x%d", e.Type, e.Reason, e.Message, e.Count))
		}
		slices.Sort(names)
		return names
	}
	if got := list(); len(got) != 0 {
		t.Errorf("events before anything happened: %v", got)
	}
	plan := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "default", Name: "ds"}, UID: "ds-uid"}, Basis: events.Basis{Seq: 1, Now: time.Now()},
		Commands: []events.Command{{Do: events.DeletePod, Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "default", Name: "p"}, UID: "u"}, Node: "n", Reason: events.FailedPod}}}
	c.append(t, events.Planned, plan)
	made, err := evs.Create(t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "own"}, Reason: "Own", Message: "said",
		Type: "Normal", InvolvedObject: corev1.ObjectReference{Kind: "DaemonSet", Namespace: "default", Name: "ds"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Normal Own said x0", "Warning FailedDaemonPod Found failed daemon pod default/p on node n, will try to kill it x1"}
	if got := list(); !slices.Equal(got, want) {
		t.Errorf("events\n%q\nwant\n%q", got, want)
	}
	c.append(t, events.Planned, plan)
	if err := evs.Delete(t.Context(), made.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := list(); len(got) != 1 || !strings.HasSuffix(got[0], "x2") {
		t.Errorf("events after a deletion and a repetition: %q", got)
	}
}

// The past is read and not written.
func TestReadOnly(t *testing.T) {
	c := newCluster(t)
	const why = "the cluster is shown as it was at #7"
	past := serve(t, Config{Past: c.log, Subjects: c.subjects, Objects: c.objects, ReadOnly: why})
	if _, err := past.client.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	_, err := past.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusMethodNotAllowed || status.Status().Message != why {
		t.Errorf("a write to the past: %v", err)
	}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	made, err := past.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, dry)
	if err != nil || made.Status.Phase != corev1.NamespaceActive {
		t.Errorf("a dry run of a write to the past: %+v, %v", made, err)
	}
	if _, err := past.client.CoreV1().ConfigMaps("x").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, dry); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run in a namespace that is not there: %v", err)
	}
	if err := past.client.CoreV1().Namespaces().Delete(t.Context(), "default", metav1.DeleteOptions{DryRun: dry.DryRun}); err == nil {
		t.Error("a deletion of what is past")
	}
}

// The first read of a resource is answered, and not sent away to come again.
func TestFirstRead(t *testing.T) {
	c := newCluster(t)
	r := c.client.CoreV1().RESTClient()
	if err := r.Get().AbsPath("/api/v1/secrets").MaxRetries(0).Do(t.Context()).Error(); err != nil {
		t.Errorf("first list: %v", err)
	}
	w, err := r.Get().AbsPath("/apis/batch/v1/cronjobs").Param("watch", "true").MaxRetries(0).Watch(t.Context())
	if err != nil {
		t.Fatalf("first watch: %v", err)
	}
	w.Stop()
}

// Each user of the API has a token; nobody else is let in.
func TestTokens(t *testing.T) {
	c := newCluster(t)
	for token, want := range map[string]string{"secret": access.Admin, "wrong": "", "": ""} {
		client, err := kubernetes.NewForConfig(byPort(c.server, token))
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if got := r.Status.UserInfo.Username; got != want || (want == "") != apierrors.IsUnauthorized(err) {
			t.Errorf("token %q is %q, %v; want %q", token, got, err, want)
		}
	}
}

// Events about pods come from who knows the node, are thinned out, and expire.
func TestEventView(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	v := newEventView(func(old, pod *corev1.Pod, node *corev1.Node) []events.Notice {
		if node == nil || pod == nil {
			return nil
		}
		return []events.Notice{{Type: "Normal", Reason: "Seen", Message: pod.Status.Message + " on " + node.Name, Component: "kubelet"}}
	}, nil, now.Add(-time.Hour))
	seq := events.Seq(0)
	tell := func(k events.Kind, at time.Time, o metav1.Object) []viewed {
		t.Helper()
		body, err := events.NewObject(k, o)
		if err != nil {
			t.Fatal(err)
		}
		seq++
		return v.observe(events.Event{Seq: seq, Stored: at, Type: events.ObjectType(k, events.VerbUpdated), Body: body})
	}
	pod := func(message string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "p", UID: "u"},
			Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Message: message}}
	}
	if got := tell(events.Pod, now, pod("before its node")); len(got) != 0 {
		t.Errorf("a pod on a node that nobody knows: %v", got)
	}
	tell(events.Node, now, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "n"}})
	if got := tell(events.Pod, now.Add(-2*time.Hour), pod("long ago")); len(got) != 0 {
		t.Errorf("what is too old to be shown: %v", got)
	}
	first, again := tell(events.Pod, now, pod("a")), tell(events.Pod, now, pod("a"))
	if len(first) != 1 || len(again) != 1 || first[0].key != again[0].key || decoded[corev1.Event](again[0].data).Count != 2 {
		t.Errorf("the same twice: %v, %v", first, again)
	}
	shown := 2
	for i := range 100 {
		shown += len(tell(events.Pod, now, pod(fmt.Sprint(i))))
	}
	if shown != noticeBurst {
		t.Errorf("%d of 102 at once are shown, want %d", shown, noticeBurst)
	}
	if got := tell(events.Pod, now.Add(noticeRefill), pod("later")); len(got) != 1 || got[0].key <= first[0].key {
		t.Errorf("five minutes later %v, after %v", got, first)
	}
	gone := 0
	for _, c := range tell(events.Pod, now.Add(noticeTTL), pod("an hour later")) {
		if c.data == nil {
			gone++
		}
	}
	if gone != noticeBurst-1 {
		t.Errorf("%d have expired after an hour, want all but the one that was told later and the repetition", gone)
	}
}
