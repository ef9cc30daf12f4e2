package apiserver

import (
	"context"
	"strings"
	"testing"

	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"rollcall/projector/apiserver/hooktest"
)

// convert is what a webhook does that converts probes: v1 has a target, v1beta1 a goal.
func convert(_ context.Context, review *extensionsv1.ConversionReview) error {
	answer := &extensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, raw := range review.Request.Objects {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(raw.Raw); err != nil {
			return err
		}
		from, to := "target", "goal"
		if strings.HasSuffix(review.Request.DesiredAPIVersion, "/v1") {
			from, to = to, from
		}
		if v, ok, _ := unstructured.NestedString(u.Object, "spec", from); ok {
			unstructured.RemoveNestedField(u.Object, "spec", from)
			_ = unstructured.SetNestedField(u.Object, v, "spec", to)
		}
		u.SetAPIVersion(review.Request.DesiredAPIVersion)
		answer.ConvertedObjects = append(answer.ConvertedObjects, runtime.RawExtension{Object: u})
	}
	review.Request, review.Response = nil, answer
	return nil
}

// A webhook that converts custom objects is called where it can be reached; where
// it cannot, the error says so. Behind a Service it is looked for as admission's are.
func TestConversionWebhooks(t *testing.T) {
	c, hook := newCustom(t), hooktest.Serve(t, hooktest.Reviews(convert))
	d := c.define(t, probes)
	converts := func(by *extensionsv1.WebhookClientConfig) {
		t.Helper()
		definitions := c.definitions.ApiextensionsV1().CustomResourceDefinitions()
		d, err := definitions.Get(t.Context(), d.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d.Spec.Conversion = &extensionsv1.CustomResourceConversion{Strategy: extensionsv1.WebhookConverter,
			Webhook: &extensionsv1.WebhookConversion{ClientConfig: by, ConversionReviewVersions: []string{"v1"}}}
		if _, err := definitions.Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ca := hook.CA()
	converts(&extensionsv1.WebhookClientConfig{URL: ptr.To(hook.URL + "/convert"), CABundle: ca})
	if _, err := c.objects.Resource(probesV1).Namespace("default").Create(t.Context(), c.probe(t, "{target: nine}"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	old := probesV1
	old.Version = "v1beta1"
	read := func(ctx context.Context) (*unstructured.Unstructured, error) {
		return c.objects.Resource(old).Namespace("default").Get(ctx, "a", metav1.GetOptions{})
	}
	o, err := read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if goal, _, _ := unstructured.NestedString(o.Object, "spec", "goal"); goal != "nine" || hook.Asked.Load() == 0 {
		t.Errorf("converted to %v by %d calls", o.Object["spec"], hook.Asked.Load())
	}
	gone := hook.Listener.Addr().String()
	hook.Close()
	fails := func(what string, why string) {
		t.Helper()
		why = `conversion webhook for net.example.com/v1, Kind=Probe failed: Post ` + why
		eventually(t, what, func(ctx context.Context) bool {
			_, err := read(ctx)
			return err != nil && strings.HasPrefix(err.Error(), why)
		})
	}
	fails("a webhook is gone", `"https://`+gone+`/convert?timeout=30s": dial tcp `+gone+": connect: connection refused")
	if list, err := c.objects.Resource(old).Namespace("default").List(t.Context(), metav1.ListOptions{ResourceVersion: ""}); err == nil {
		t.Errorf("a list of what cannot be converted: %v", list.Items)
	}
	if _, err := c.objects.Resource(probesV1).Namespace("default").Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
		t.Errorf("in the version in which it is kept: %v", err)
	}
	converts(&extensionsv1.WebhookClientConfig{Service: &extensionsv1.ServiceReference{Namespace: "default", Name: "hook", Path: ptr.To("/convert")}, CABundle: ca})
	fails("a webhook is behind a Service that is not there", `"https://hook.default.svc:443/convert?timeout=30s": service "hook" not found`)
}
