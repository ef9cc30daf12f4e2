package instance

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	regv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/projector/apiserver/hooktest"
)

// hook is a webhook that is asked about new pods.
type hook struct {
	*hooktest.Server
	mood atomic.Value // "" to add a label, "deny", "hang"
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.mood.Store("")
	h.Server = hooktest.Serve(t, hooktest.Reviews(h.answer))
	return h
}

func (h *hook) answer(ctx context.Context, review *admissionv1.AdmissionReview) error {
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: ptr.To(admissionv1.PatchTypeJSONPatch),
		Patch: []byte(`[{"op":"add","path":"/metadata/labels/hooked","value":"yes"}]`)}
	switch h.mood.Load() {
	case "deny":
		answer = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "not today"}}
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	}
	review.Response, review.Request = answer, nil
	return nil
}

// register has the hook asked about new pods of namespace default.
func (h *hook) register(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	_, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &regv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hook"}, Webhooks: []regv1.MutatingWebhook{{Name: "hook.example.com", TimeoutSeconds: ptr.To[int32](1),
			ClientConfig: regv1.WebhookClientConfig{URL: &h.URL, CABundle: h.CA()}, SideEffects: ptr.To(regv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "default"}},
			Rules: []regv1.RuleWithOperations{{Operations: []regv1.OperationType{regv1.Create},
				Rule: regv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// ruled is an instance with nodes whose pods are there at once.
type ruled struct {
	*Instance
	t      *testing.T
	client kubernetes.Interface
	failed chan string // why commands have failed; the first of them
}

func startRuled(t *testing.T, dir string, nodes int) *ruled {
	t.Helper()
	failed := make(chan string, 1000)
	in, client := start(t, Options{Nodes: nodes, Data: dir, Durability: natsd.Relaxed, Controllers: []string{ownController, "resourcequota"}, Patience: patience,
		Follow: func(e events.Event) {
			if o, ok := e.Body.(events.Outcome); ok && e.Type == events.Failed {
				select {
				case failed <- o.Message:
				default: // enough is known
				}
			}
		}})
	if err := in.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &ruled{in, t, client, failed}
}

func (r *ruled) stop() {
	r.t.Helper()
	if err := r.Stop(); err != nil {
		r.t.Fatal(err)
	}
}

// daemonSet makes a DaemonSet that changes many nodes at once.
func (r *ruled) daemonSet(namespace, name string) {
	r.t.Helper()
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
		UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromString("50%"))}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "agent:1"}}}}}}
	if _, err := r.client.AppsV1().DaemonSets(namespace).Create(r.t.Context(), ds, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// await waits until something is so of the DaemonSet and its pods.
func (r *ruled) await(what, namespace, name string, ok func(*appsv1.DaemonSetStatus, []corev1.Pod) bool) {
	r.t.Helper()
	r.soon(what, func(ctx context.Context) bool {
		ds, err := r.client.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		pods, err := r.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			r.t.Fatal(err)
		}
		return ds.Status.ObservedGeneration == ds.Generation && ok(&ds.Status, pods.Items)
	})
}

// soon waits until the API shows something: informers of controllers and admission
// are behind the log.
func (r *ruled) soon(what string, so func(context.Context) bool) {
	r.t.Helper()
	r.within(patience, what, so)
}

func (r *ruled) within(d time.Duration, what string, so func(context.Context) bool) {
	r.t.Helper()
	err := wait.PollUntilContextTimeout(r.t.Context(), 50*time.Millisecond, d, true, func(ctx context.Context) (bool, error) { return so(ctx), nil })
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// refused waits until a create has failed because of something.
func (r *ruled) refused(text string) {
	r.t.Helper()
	for end := time.After(patience); ; {
		select {
		case why := <-r.failed:
			if strings.Contains(why, text) {
				return
			}
		case <-end:
			r.t.Fatalf("nothing has failed because of %q", text)
		}
	}
}

func ready(n int) func(*appsv1.DaemonSetStatus, []corev1.Pod) bool {
	return func(s *appsv1.DaemonSetStatus, pods []corev1.Pod) bool {
		return len(pods) == n && int(s.NumberAvailable) == n && int(s.UpdatedNumberScheduled) == n
	}
}

// Each daemon pod goes through the webhooks of the cluster, also while a rollout
// goes on. One that denies or hangs is told of and tried again; it holds up
// neither other DaemonSets nor anything else. Who starts again asks nobody.
func TestWebhooksOfDaemonPods(t *testing.T) {
	sandbox(t)
	const nodes = 50
	dir := t.TempDir()
	r := startRuled(t, dir, nodes)
	h := newHook(t)
	h.register(t, r.client)
	r.daemonSet("default", "agent")
	n := nodes - 1 // the control plane is kept free
	r.await("the first rollout", "default", "agent", ready(n))
	hooked := func(s *appsv1.DaemonSetStatus, pods []corev1.Pod) bool {
		for _, p := range pods {
			if p.Labels["hooked"] != "yes" {
				t.Fatalf("pod %s went past the webhook: %v", p.Name, p.Labels)
			}
		}
		return ready(n)(s, pods)
	}
	r.await("the label", "default", "agent", hooked)
	if asked := h.Asked.Load(); asked < int64(n) {
		t.Errorf("asked %d times about %d pods", asked, n)
	}
	for _, mood := range []struct{ is, told string }{
		{"deny", `admission webhook "hook.example.com" denied the request: not today`},
		{"hang", `failed calling webhook "hook.example.com": failed to call webhook: Post "` + h.URL + `/?timeout=1s": context deadline exceeded`},
	} {
		h.mood.Store(mood.is)
		patch := `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"agent:` + mood.is + `"}]}}}}`
		if _, err := r.client.AppsV1().DaemonSets("default").Patch(t.Context(), "agent", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		r.refused(mood.told)
		r.daemonSet("kube-system", mood.is)
		r.await("another DaemonSet", "kube-system", mood.is, ready(n))
		h.mood.Store("")
		r.await("the rollout after "+mood.is, "default", "agent", hooked)
	}
	r.stop()
	before := h.Asked.Load()
	h.Close()
	r = startRuled(t, dir, nodes)
	r.await("the start", "default", "agent", hooked)
	if h.Asked.Load() != before {
		t.Error("the webhook was asked about pods that are there")
	}
	if err := r.client.CoreV1().Pods("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	r.refused(`dial tcp ` + strings.TrimPrefix(h.URL, "https://") + `: connect: connection refused`)
	ignore := `{"webhooks":[{"name":"hook.example.com","failurePolicy":"Ignore"}]}`
	if _, err := r.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(t.Context(), "hook", types.StrategicMergePatchType, []byte(ignore), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await("without the webhook", "default", "agent", ready(n))
	r.stop()
}

// Daemon pods count for the quota of their namespace, also after a restart:
// those over it are told of, and made when there is room.
func TestQuotaOfDaemonPods(t *testing.T) {
	sandbox(t)
	dir := t.TempDir()
	r := startRuled(t, dir, 6)
	hard := corev1.ResourceList{corev1.ResourcePods: quantity.MustParse("3")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	if _, err := r.client.CoreV1().ResourceQuotas("default").Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.counted("0") // until then it holds nobody up
	r.daemonSet("default", "agent")
	r.refused("exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3")
	three := func(s *appsv1.DaemonSetStatus, pods []corev1.Pod) bool { return len(pods) == 3 && s.NumberReady == 3 }
	r.await("three pods", "default", "agent", three)
	r.stop()
	r = startRuled(t, dir, 6)
	r.daemonSet("default", "second")
	r.await("none of the second", "default", "second", func(s *appsv1.DaemonSetStatus, pods []corev1.Pod) bool {
		return len(pods) == 0 && s.DesiredNumberScheduled == 5
	})
	r.await("three pods after the restart", "default", "agent", three)
	if _, err := r.client.CoreV1().ResourceQuotas("default").Patch(t.Context(), "few", types.MergePatchType, []byte(`{"spec":{"hard":{"pods":"10"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await("all pods", "default", "agent", ready(5))
	r.await("all pods of the second", "default", "second", ready(5))
	r.counted("10")
	r.stop()
}

// counted waits until the quota has counted so many pods. Kubernetes' controller that
// counts them may overwrite what admission has added meanwhile, if it has to count a
// second time, and mends that when it counts all again, every five minutes.
func (r *ruled) counted(n string) {
	r.t.Helper()
	r.within(5*time.Minute+patience, n+" pods used", func(ctx context.Context) bool {
		q, err := r.client.CoreV1().ResourceQuotas("default").Get(ctx, "few", metav1.GetOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		return len(q.Status.Hard) > 0 && q.Status.Used.Pods().String() == n
	})
}
