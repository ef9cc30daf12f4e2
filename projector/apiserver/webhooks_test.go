package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	regv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/projector/apiserver/hooktest"
)

// webhook is an admission webhook, as others write them.
type webhook struct {
	*hooktest.Server
	mu  sync.Mutex
	say func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse
}

func newWebhook(t testing.TB, say func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) *webhook {
	t.Helper()
	h := &webhook{say: say}
	h.Server = hooktest.Serve(t, hooktest.Reviews(h.answer))
	return h
}

func (h *webhook) answer(_ context.Context, review *admissionv1.AdmissionReview) error {
	h.mu.Lock()
	say := h.say
	h.mu.Unlock()
	review.Response = say(review.Request)
	review.Response.UID = review.Request.UID
	review.Request = nil
	return nil
}

func allow(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true}
}

// patch answers with a JSON patch.
func patch(ops string) func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(ops), PatchType: ptr.To(admissionv1.PatchTypeJSONPatch)}
	}
}

func ofNewPods() []regv1.RuleWithOperations {
	return []regv1.RuleWithOperations{{Operations: []regv1.OperationType{regv1.Create},
		Rule: regv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}
}

// mutating returns a configuration that has a webhook asked about new pods.
func (h *webhook) mutating(name string, change func(*regv1.MutatingWebhook)) *regv1.MutatingWebhookConfiguration {
	w := regv1.MutatingWebhook{Name: name + ".example.com", ClientConfig: regv1.WebhookClientConfig{URL: &h.URL, CABundle: h.CA()}, Rules: ofNewPods(),
		SideEffects: ptr.To(regv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"}}
	if change != nil {
		change(&w)
	}
	return &regv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []regv1.MutatingWebhook{w}}
}

// validating is mutating for those that only say yes or no.
func (h *webhook) validating(name string, change func(*regv1.ValidatingWebhook)) *regv1.ValidatingWebhookConfiguration {
	w := regv1.ValidatingWebhook{Name: name + ".example.com", ClientConfig: regv1.WebhookClientConfig{URL: &h.URL, CABundle: h.CA()}, Rules: ofNewPods(),
		SideEffects: ptr.To(regv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"}}
	if change != nil {
		change(&w)
	}
	return &regv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []regv1.ValidatingWebhook{w}}
}

func (c *cluster) mutate(t testing.TB, w *regv1.MutatingWebhookConfiguration) {
	t.Helper()
	if _, err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), w, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), w.Name, metav1.DeleteOptions{})
	})
}

func (c *cluster) validate(t testing.TB, w *regv1.ValidatingWebhookConfiguration) {
	t.Helper()
	if _, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), w, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), w.Name, metav1.DeleteOptions{})
	})
}

// A webhook is asked from the moment that its configuration is written: about
// pods of clients, and about those that are made beside the API.
func TestWebhooksChangePods(t *testing.T) {
	c := newCluster(t)
	h := newWebhook(t, patch(`[{"op":"add","path":"/metadata/labels","value":{"seen":"yes"}},{"op":"add","path":"/spec/containers/-","value":{"name":"side","image":"car"}}]`))
	c.mutate(t, h.mutating("sidecar", nil))
	made, err := c.client.CoreV1().Pods("default").Create(t.Context(), podNamed("asked", nil), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	beside := withNamespace(podNamed("beside", nil), "default")
	if err := c.server.AdmitPod(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*corev1.Pod{made, beside} {
		if p.Labels["seen"] != "yes" || len(p.Spec.Containers) != 2 || p.Spec.Containers[1].TerminationMessagePath != corev1.TerminationMessagePathDefault {
			t.Errorf("%s: labels %v, containers %+v", p.Name, p.Labels, p.Spec.Containers)
		}
	}
	if n := h.Asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	h.mu.Lock()
	h.say = patch(`[{"op":"add","path":"/spec/containers/-","value":{"name":"no image, no good name"}}]`)
	h.mu.Unlock()
	_, err = c.client.CoreV1().Pods("default").Create(t.Context(), podNamed("bad", nil), metav1.CreateOptions{})
	beside = withNamespace(podNamed("bad", nil), "default")
	if also := c.server.AdmitPod(t.Context(), beside); err == nil || also == nil || err.Error() != also.Error() {
		t.Errorf("an invalid pod: %v, beside the API %v", err, also)
	}
}

// What a webhook refuses, and one that does not answer, is told in the words of
// kube-apiserver; failurePolicy says whether the latter refuses.
func TestWebhooksRefuse(t *testing.T) {
	c := newCluster(t)
	no := newWebhook(t, func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: "not on my watch"}, Warnings: []string{"a warning"}}
	})
	enough := make(chan struct{})
	defer close(enough) // before the webhook waits for its handlers
	slow := newWebhook(t, func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		<-enough
		return allow(nil)
	})
	down := newWebhook(t, allow)
	down.Close()
	for name, test := range map[string]struct {
		hook   *webhook
		change func(*regv1.ValidatingWebhook)
		want   string
	}{
		"denies": {no, nil, `admission webhook "denies.example.com" denied the request: not on my watch`},
		"late": {slow, func(w *regv1.ValidatingWebhook) { w.TimeoutSeconds = ptr.To[int32](1) },
			`Internal error occurred: failed calling webhook "late.example.com": failed to call webhook: Post "` + slow.URL + `/?timeout=1s": context deadline exceeded`},
		"down": {down, nil, `Internal error occurred: failed calling webhook "down.example.com": failed to call webhook: Post "` + down.URL +
			`/?timeout=10s": dial tcp ` + strings.TrimPrefix(down.URL, "https://") + `: connect: connection refused`},
		"ignored":  {down, func(w *regv1.ValidatingWebhook) { w.FailurePolicy = ptr.To(regv1.Ignore) }, ""},
		"stranger": {no, func(w *regv1.ValidatingWebhook) { w.ClientConfig.CABundle = nil }, "certificate signed by unknown authority"},
		"elsewhere": {no, func(w *regv1.ValidatingWebhook) {
			w.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "other"}}
		}, ""},
		"others": {no, func(w *regv1.ValidatingWebhook) {
			w.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"watched": "yes"}}
		}, ""},
		"never": {no, func(w *regv1.ValidatingWebhook) {
			w.MatchConditions = []regv1.MatchCondition{{Name: "never", Expression: `object.metadata.name == "nobody"`}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.validate(t, test.hook.validating(name, test.change))
			_, err := c.client.CoreV1().Pods("default").Create(t.Context(), podNamed("p", nil), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			beside := c.server.AdmitPod(t.Context(), withNamespace(podNamed("p", nil), "default"))
			for _, err := range []error{err, beside} {
				if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
			}
		})
	}
}

// A dry run does not ask a webhook that says that it has side effects: it is refused.
func TestWebhooksOfDryRuns(t *testing.T) {
	c := newCluster(t)
	h := newWebhook(t, allow)
	c.validate(t, h.validating("effects", func(w *regv1.ValidatingWebhook) {
		w.SideEffects = ptr.To(regv1.SideEffectClassNoneOnDryRun)
		w.Rules[0].Resources = []string{"configmaps"}
	}))
	old := h.validating("legacy", nil)
	old.Webhooks[0].SideEffects = ptr.To(regv1.SideEffectClassSome)
	if _, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), old, metav1.CreateOptions{}); err == nil {
		t.Error("a webhook with side effects is taken")
	}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, dry); err != nil || h.Asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, h.Asked.Load())
	}
}

// No webhook is asked about configurations of webhooks: whoever has locked
// everybody out can take the lock away.
func TestWebhooksLockNobodyOut(t *testing.T) {
	c := newCluster(t)
	h := newWebhook(t, allow)
	h.Close()
	all := h.validating("all", func(w *regv1.ValidatingWebhook) {
		w.Rules = []regv1.RuleWithOperations{{Operations: []regv1.OperationType{regv1.OperationAll},
			Rule: regv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}}}}
	})
	c.validate(t, all)
	if _, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{}); err == nil {
		t.Error("nothing is locked")
	}
	if err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), "all", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("still locked: %v", err)
	}
}

// A webhook may warn; one that asks to be asked again is, when another has
// changed the object after it; a group's other version counts as the same.
func TestWebhooksAgainAndAgain(t *testing.T) {
	c := newCluster(t)
	first := newWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: []string{"seen by the first"}}
	})
	c.mutate(t, first.mutating("a-first", func(w *regv1.MutatingWebhook) { w.ReinvocationPolicy = ptr.To(regv1.IfNeededReinvocationPolicy) }))
	second := newWebhook(t, patch(`[{"op":"add","path":"/metadata/annotations","value":{"second":"was here"}}]`))
	c.mutate(t, second.mutating("b-second", nil))
	scaled := newWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: r.Resource.Version == "v1", Result: &metav1.Status{Message: "in " + r.Resource.Version}}
	})
	c.validate(t, scaled.validating("scaled", func(w *regv1.ValidatingWebhook) {
		w.Rules[0].Rule = regv1.Rule{APIGroups: []string{"autoscaling"}, APIVersions: []string{"v1"}, Resources: []string{"horizontalpodautoscalers"}}
	}))
	heard := &warnings{}
	config := rest.CopyConfig(c.server.Loopback())
	config.WarningHandler = heard
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.CoreV1().Pods("default").Create(t.Context(), podNamed("p", nil), metav1.CreateOptions{})
	if err != nil || p.Annotations["second"] != "was here" || first.Asked.Load() != 2 || second.Asked.Load() != 1 {
		t.Errorf("%v: %v, asked %d and %d times", err, p.Annotations, first.Asked.Load(), second.Asked.Load())
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "h"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "d", APIVersion: "apps/v1"}, MaxReplicas: 3}}
	if _, err := client.AutoscalingV2().HorizontalPodAutoscalers("default").Create(t.Context(), hpa, metav1.CreateOptions{}); err != nil || scaled.Asked.Load() != 1 {
		t.Errorf("another version: %v, asked %d times", err, scaled.Asked.Load())
	}
	if len(*heard) == 0 || (*heard)[0] != "seen by the first" {
		t.Errorf("warned of %q", *heard)
	}
}

// A webhook behind a Service is asked at an endpoint that is ready; a Service
// that is not there, has no endpoints, or only simulated ones, cannot be reached.
func TestWebhooksOfServices(t *testing.T) {
	c := newCluster(t)
	h := newWebhook(t, allow)
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	c.validate(t, h.validating("svc", func(w *regv1.ValidatingWebhook) {
		w.ClientConfig.URL = nil
		w.ClientConfig.Service = &regv1.ServiceReference{Namespace: "default", Name: "hook", Path: ptr.To("/check")}
	}))
	ask := func() error { return c.server.AdmitPod(t.Context(), withNamespace(podNamed("p", nil), "default")) }
	const post = `Internal error occurred: failed calling webhook "svc.example.com": failed to call webhook: Post "https://hook.default.svc:443/check?timeout=10s": `
	wants(t, "no service", ask(), post+`service "hook" not found`)
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "hook"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt(port)}}}}
	if svc, err = c.client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	refusal := post + fmt.Sprintf("dial tcp %s: connect: connection refused", net.JoinHostPort(svc.Spec.ClusterIP, "443"))
	wants(t, "no endpoints", ask(), refusal)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "played", Labels: map[string]string{events.LabelSimulated: "true"}}}
	if _, err := c.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "hook-1", Labels: map[string]string{discoveryv1.LabelServiceName: "hook"}}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.7"}, NodeName: ptr.To("played")}},
		Ports:     []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To(int32(port))}}}
	slices := c.client.DiscoveryV1().EndpointSlices("default")
	if slice, err = slices.Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wants(t, "simulated endpoints", ask(), refusal)
	slice.Endpoints[0].NodeName, slice.Endpoints[0].Addresses = ptr.To("real"), []string{"10.0.0.1"}
	resolved, err := c.server.resolver().ResolveEndpoint("default", "hook", 443)
	if err == nil {
		t.Errorf("resolved to %s", resolved)
	}
	if _, err = slices.Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	resolved, err = c.server.resolver().ResolveEndpoint("default", "hook", 443)
	if err != nil || resolved.String() != "https://10.0.0.1:"+u.Port() {
		t.Errorf("resolved to %s, %v", resolved, err)
	}
}
