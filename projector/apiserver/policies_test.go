package apiserver

import (
	"context"
	"strings"
	"testing"
	"time"

	regv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/utils/ptr"
)

// soon waits until the policies of a cluster are known, which Kubernetes looks at
// once a second.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) { return ok(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// daemonPod returns a pod as the executor makes it: with defaults.
func daemonPod(name, namespace string, change func(*corev1.PodSpec)) *corev1.Pod {
	p := withNamespace(podNamed(name, change), namespace)
	corev1defaults.SetObjectDefaults_Pod(p)
	return p
}

// Policies decide about pods of clients and about those that are made beside the
// API, with parameters that others keep, and change them.
func TestPolicies(t *testing.T) {
	c := newCluster(t)
	reg, maps := c.client.AdmissionregistrationV1(), c.client.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "limits"}, Data: map[string]string{"image": "allowed"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	match := &regv1.MatchResources{ResourceRules: []regv1.NamedRuleWithOperations{{RuleWithOperations: ofNewPods()[0]}}}
	checks := &regv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "images"}, Spec: regv1.ValidatingAdmissionPolicySpec{
		ParamKind: &regv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}, MatchConstraints: match,
		Validations: []regv1.Validation{{Expression: "object.spec.containers.all(c, c.image == params.data.image)", MessageExpression: "'only ' + params.data.image"}}}}
	if _, err := reg.ValidatingAdmissionPolicies().Create(t.Context(), checks, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bound := &regv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "images"}, Spec: regv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "images",
		ParamRef:          &regv1.ParamRef{Name: "limits", Namespace: "default", ParameterNotFoundAction: ptr.To(regv1.DenyAction)},
		ValidationActions: []regv1.ValidationAction{regv1.Deny}}}
	if _, err := reg.ValidatingAdmissionPolicyBindings().Create(t.Context(), bound, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	const refusal = `pods "p" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'images' denied request: only allowed`
	ask := func() (client, beside error) {
		_, client = c.client.CoreV1().Pods("default").Create(t.Context(), podNamed("p", nil), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return client, c.server.AdmitPod(t.Context(), withNamespace(podNamed("p", nil), "default"))
	}
	soon(t, "the policy", func() bool {
		client, beside := ask()
		return client != nil && beside != nil && client.Error() == refusal && beside.Error() == refusal
	})
	if _, err := maps.Update(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "limits"}, Data: map[string]string{"image": "i"}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if client, beside := ask(); client != nil || beside != nil {
		t.Errorf("the parameters allow it: %v, %v", client, beside)
	}
	changes := &regv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "label"}, Spec: regv1.MutatingAdmissionPolicySpec{MatchConstraints: match, ReinvocationPolicy: regv1.NeverReinvocationPolicy,
		Mutations: []regv1.Mutation{{PatchType: regv1.PatchTypeApplyConfiguration, ApplyConfiguration: &regv1.ApplyConfiguration{Expression: `Object{metadata: Object.metadata{labels: {"policy": "was-here"}}}`}}}}}
	if _, err := reg.MutatingAdmissionPolicies().Create(t.Context(), changes, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.MutatingAdmissionPolicyBindings().Create(t.Context(), &regv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "label"},
		Spec: regv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "label"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the change", func() bool {
		p := daemonPod("p", "default", nil)
		return c.server.AdmitPod(t.Context(), p) == nil && p.Labels["policy"] == "was-here"
	})
}

// A LimitRange gives pods what they do not ask for, and with it their class of
// service, and refuses what is too much.
func TestLimitRanges(t *testing.T) {
	c := newCluster(t)
	amount := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse(cpu)}
	}
	l := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
		{Type: corev1.LimitTypeContainer, Default: amount("200m"), DefaultRequest: amount("100m"), Max: amount("1")}}}}
	if _, err := c.client.CoreV1().LimitRanges("default").Create(t.Context(), l, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client, err := c.client.CoreV1().Pods("default").Create(t.Context(), podNamed("p", nil), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	beside := daemonPod("q", "default", nil)
	if err := c.server.AdmitPod(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*corev1.Pod{client, beside} {
		if r := p.Spec.Containers[0].Resources; r.Requests.Cpu().String() != "100m" || r.Limits.Cpu().String() != "200m" || p.Status.QOSClass != corev1.PodQOSBurstable {
			t.Errorf("%s: %+v, %s", p.Name, r, p.Status.QOSClass)
		}
	}
	much := podNamed("much", func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = amount("2") })
	_, err = c.client.CoreV1().Pods("default").Create(t.Context(), much, metav1.CreateOptions{})
	wants(t, "too much", err, `pods "much" is forbidden: maximum cpu usage per Container is 1, but limit is 2`)
	err = c.server.AdmitPod(t.Context(), daemonPod("much", "default", func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = amount("2") }))
	wants(t, "too much", err, `pods "much" is forbidden: maximum cpu usage per Container is 1, but limit is 2`)
	other := daemonPod("r", "kube-system", nil)
	if err := c.server.AdmitPod(t.Context(), other); err != nil || len(other.Spec.Containers[0].Resources.Limits) > 0 {
		t.Errorf("of another namespace: %+v, %v", other.Spec.Containers[0].Resources, err)
	}
}

// Pods of clients and those beside the API count for one quota, and what is over
// it is refused in Kubernetes' words; the count is in the log.
func TestQuotas(t *testing.T) {
	c := newCluster(t)
	quotas := c.client.CoreV1().ResourceQuotas("default")
	hard := corev1.ResourceList{corev1.ResourcePods: quantity.MustParse("2")}
	q, err := quotas.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The controller that counts does not run here.
	q.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{corev1.ResourcePods: quantity.MustParse("0")}}
	if _, err := quotas.UpdateStatus(t.Context(), q, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.CoreV1().Pods("default").Create(t.Context(), podNamed("a", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.server.AdmitPod(t.Context(), withNamespace(podNamed("b", nil), "default")); err != nil {
		t.Fatal(err)
	}
	err = c.server.AdmitPod(t.Context(), withNamespace(podNamed("c", nil), "default"))
	if want := `pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`; !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if q, err = quotas.Get(t.Context(), "q", metav1.GetOptions{}); err != nil || q.Status.Used.Pods().String() != "2" {
		t.Errorf("used %v, %v", q.Status.Used, err)
	}
	if err := c.server.AdmitPod(t.Context(), withNamespace(podNamed("c", nil), "kube-system")); err != nil {
		t.Errorf("of another namespace: %v", err)
	}
}

// Claims and ingresses get the class that is the default one, and claims are
// protected while they are used.
func TestDefaultClasses(t *testing.T) {
	c := newCluster(t)
	claim := func(name string) *corev1.PersistentVolumeClaim {
		p := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity.MustParse("1Gi")}}}}
		made, err := c.client.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), p, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	if p := claim("before"); p.Spec.StorageClassName != nil || strings.Join(p.Finalizers, " ") != "kubernetes.io/pvc-protection" {
		t.Errorf("class %v, finalizers %v", p.Spec.StorageClassName, p.Finalizers)
	}
	fast := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}}, Provisioner: "example.com/disk"}
	if _, err := c.client.StorageV1().StorageClasses().Create(t.Context(), fast, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if p := claim("after"); ptr.Deref(p.Spec.StorageClassName, "") != "fast" {
		t.Errorf("class %v", p.Spec.StorageClassName)
	}
	web := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/web"}}
	if _, err := c.client.NetworkingV1().IngressClasses().Create(t.Context(), web, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	in := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "i"}, Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: "s", Port: networkingv1.ServiceBackendPort{Number: 80}}}}}
	if in, err := c.client.NetworkingV1().Ingresses("default").Create(t.Context(), in, metav1.CreateOptions{}); err != nil || ptr.Deref(in.Spec.IngressClassName, "") != "web" {
		t.Errorf("class %v, %v", in.Spec.IngressClassName, err)
	}
}
