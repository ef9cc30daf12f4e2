package kube

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failing is what goes wrong in a cluster that is controlled: a rollout waits for it to be
// mended, and then goes on by itself.
type failing struct {
	name   string                     // and of the DaemonSet
	breaks func(*cluster)             // what goes wrong
	says   []string                   // in the log, in what the program says and in why-not, before it is mended
	mends  func(c *cluster)           // undoes it
	fails  bool                       // a command fails by it
	rolls  bool                       // the rollout is not held up
	after  func(c *cluster, _ string) // what the rollout needs besides; nil: nothing
}

// takes has the ClusterRole of a mode lack a verb on a resource.
func (c *cluster) takes(resource, verb string) {
	c.Helper()
	role, err := c.client.RbacV1().ClusterRoles().Get(c.Context(), "rollcall-control", metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	var rules []rbacv1.PolicyRule
	for _, r := range role.Rules {
		if r.Resources[0] != resource {
			rules = append(rules, r)
			continue
		}
		var verbs []string
		for _, v := range r.Verbs {
			if v != verb {
				verbs = append(verbs, v)
			}
		}
		if r.Verbs = verbs; len(verbs) > 0 {
			rules = append(rules, r)
		}
	}
	role.Rules = rules
	if _, err := c.client.RbacV1().ClusterRoles().Update(c.Context(), role, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
}

func gives(c *cluster) { c.granted("control") }

// hooked has requests about pods go through a webhook.
func hooked(on registrationv1.OperationType, mutates bool, answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) func(*cluster) {
	return func(c *cluster) {
		c.Helper()
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var review admissionv1.AdmissionReview
			if json.NewDecoder(r.Body).Decode(&review) != nil || review.Request == nil {
				http.Error(w, "no review", http.StatusBadRequest)
				return
			}
			review.Response = answer(review.Request)
			review.Response.UID, review.Request = review.Request.UID, nil
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(review)
		}))
		c.Cleanup(s.Close)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		client, none := registrationv1.WebhookClientConfig{URL: &s.URL, CABundle: ca}, registrationv1.SideEffectClassNone
		rules := []registrationv1.RuleWithOperations{{Operations: []registrationv1.OperationType{on}, Rule: registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}
		about := metav1.ObjectMeta{Name: "hook"}
		var err error
		if mutates {
			_, err = c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(c.Context(), &registrationv1.MutatingWebhookConfiguration{ObjectMeta: about,
				Webhooks: []registrationv1.MutatingWebhook{{Name: "hook.example.com", ClientConfig: client, Rules: rules, SideEffects: &none, AdmissionReviewVersions: []string{"v1"}}}}, metav1.CreateOptions{})
		} else {
			_, err = c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(c.Context(), &registrationv1.ValidatingWebhookConfiguration{ObjectMeta: about,
				Webhooks: []registrationv1.ValidatingWebhook{{Name: "hook.example.com", ClientConfig: client, Rules: rules, SideEffects: &none, AdmissionReviewVersions: []string{"v1"}}}}, metav1.CreateOptions{})
		}
		if err != nil {
			c.Fatal(err)
		}
		c.until("the API server asks the webhook", func(ctx context.Context) (bool, error) { return c.asks(ctx, on) })
	}
}

// asks reports whether the webhook has a say in what is done with a pod of nobody.
func (c *cluster) asks(ctx context.Context, on registrationv1.OperationType) (bool, error) {
	name := "tried-" + strings.ToLower(string(on)) // what cannot be deleted is there for the next
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"controller-revision-hash": "tried"}},
		Spec: corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{{Name: "main", Image: "main:1"}}}}
	pods := c.client.CoreV1().Pods(space)
	o := metav1.CreateOptions{}
	if on == registrationv1.Create {
		o.DryRun = []string{metav1.DryRunAll}
	}
	made, err := pods.Create(ctx, p, o)
	switch {
	case on == registrationv1.Create && err == nil:
		return made.Labels["controller-revision-hash"] == "", nil
	case on == registrationv1.Create && !strings.Contains(err.Error(), "hook.example.com"):
		return false, err
	case on == registrationv1.Create:
		return true, nil
	case err != nil && !apierrors.IsAlreadyExists(err):
		return false, err
	}
	err = pods.Delete(ctx, name, metav1.DeleteOptions{})
	return err != nil && strings.Contains(err.Error(), "hook.example.com"), nil
}

func unhooked(c *cluster) {
	c.Helper()
	c.kubectl("delete", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "--all")
}

// refuse refuses in the words of people.
func refuse(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: "not on a Friday"}}
}

// strip takes the labels off by which a pod's revision is known.
func strip(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	kind := admissionv1.PatchTypeJSONPatch
	a := &admissionv1.AdmissionResponse{Allowed: true}
	var ops []string
	for _, label := range []string{"controller-revision-hash", "pod-template-generation"} {
		if strings.Contains(string(r.Object.Raw), `"`+label+`"`) {
			ops = append(ops, `{"op":"remove","path":"/metadata/labels/`+label+`"}`)
		}
	}
	if len(ops) > 0 {
		a.Patch, a.PatchType = []byte("["+strings.Join(ops, ",")+"]"), &kind
	}
	return a
}

// full is a quota that lets no pod be made.
func full(c *cluster) {
	c.Helper()
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "full"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}}
	quotas := c.client.CoreV1().ResourceQuotas(space)
	made, err := quotas.Create(c.Context(), q, metav1.CreateOptions{})
	if err == nil { // nobody counts here, and without a count it is not asked
		made.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: q.Spec.Hard}
		_, err = quotas.UpdateStatus(c.Context(), made, metav1.UpdateOptions{})
	}
	if err != nil {
		c.Fatal(err)
	}
}

// failures are rows of what can go wrong while a cluster is controlled.
var failures = []failing{
	{name: "quota", breaks: full, says: []string{"command.failed", "quota: full"}, fails: true,
		mends: func(c *cluster) { c.kubectl("delete", "resourcequota", "full", "-n", space) }},
	{name: "refused", breaks: hooked(registrationv1.Create, false, refuse), says: []string{"command.failed", "not on a Friday"}, fails: true, mends: unhooked},
	{name: "undeletable", breaks: hooked(registrationv1.Delete, false, refuse), says: []string{"command.failed", "not on a Friday"}, fails: true, mends: unhooked},
	{name: "altered", breaks: hooked(registrationv1.Create, true, strip), says: []string{"other than it was made"}, mends: unhooked,
		after: func(c *cluster, name string) { c.image(name, "main:3") }}, // which a pod that was altered waits for
	{name: "no-status", breaks: func(c *cluster) { c.takes("daemonsets/status", "update") }, says: []string{"E-KUBE-FORBIDDEN", "update daemonsets/status"}, rolls: true, mends: gives},
	{name: "no-deletes", breaks: func(c *cluster) { c.takes("pods", "delete") }, says: []string{"E-KUBE-FORBIDDEN", "delete pods"}, mends: gives},
	{name: "no-creates", breaks: func(c *cluster) { c.takes("pods", "create") }, says: []string{"E-KUBE-FORBIDDEN", "create pods"}, mends: gives},
	{name: "no-revisions", breaks: func(c *cluster) { c.takes("controllerrevisions", "create") }, says: []string{"E-KUBE-FORBIDDEN", "create controllerrevisions"}, mends: gives},
}

// TestFailures: what goes wrong in a cluster that is controlled is said where people look,
// costs a try now and then and no more, and is over when it is mended. A right of
// rollcall's own that is missing has no command fail.
func TestFailures(t *testing.T) {
	c := newCluster(t)
	c.controllers(others)
	c.kubelets()
	for i := range 2 {
		c.node(fmt.Sprint("n", i))
	}
	account, data := c.granted("control"), filepath.Join(t.TempDir(), "control")
	us := c.control(account, data, soon)
	for _, f := range failures {
		c.fails(us, data, f)
	}
	c.refuses(account, filepath.Join(t.TempDir(), "second"), "E-KUBE-LEASE")
	us.end()
	if code, said := runs(t, "verify", "--data", data); code != 0 {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
}

// fails has something go wrong during a rollout.
func (c *cluster) fails(us *process, data string, f failing) {
	c.Helper()
	c.daemonSet(f.name)
	c.rolledOut(f.name, 2)
	from, said := c.count(data, "command.failed"), len(us.output())
	f.breaks(c)
	c.image(f.name, "main:2")
	last := ""
	for _, what := range f.says {
		c.until(fmt.Sprintf("%s: somebody says %q", f.name, what), func(context.Context) (bool, error) {
			_, log := runs(c.T, "log", "--data", data)
			_, why := runs(c.T, "why-not", "ds/"+f.name, "-n", space, "--data", data)
			last = us.output()[said:] + why + log
			return strings.Contains(last, what), nil
		})
	}
	if f.rolls {
		c.until(f.name+": pods are new", func(context.Context) (bool, error) {
			n := 0
			for _, p := range c.pods(f.name) {
				if p.Spec.Containers[0].Image == "main:2" {
					n++
				}
			}
			return n == 2, nil
		})
	}
	if n := c.count(data, "command.failed") - from; (n > 0) != f.fails || n > 12 {
		c.Errorf("%s: %d commands have failed:\n%s", f.name, n, last)
	}
	f.mends(c)
	if f.after != nil {
		f.after(c, f.name)
	}
	c.rolledOut(f.name, 2)
	c.kubectl("delete", "ds", f.name, "-n", space)
	c.until("the pods of "+f.name+" are gone", func(context.Context) (bool, error) { return len(c.pods(f.name)) == 0, nil })
}
