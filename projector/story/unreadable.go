package story

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/events"
)

// apiTypes are what the API reads the objects of a log as.
var apiTypes = func() *runtime.Scheme {
	s := runtime.NewScheme()
	groups := runtime.SchemeBuilder{admissionv1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, certificatesv1.AddToScheme,
		corev1.AddToScheme, discoveryv1.AddToScheme, flowcontrolv1.AddToScheme, networkingv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme,
		rbacv1.AddToScheme, resourcev1.AddToScheme, schedulingv1.AddToScheme, storagev1.AddToScheme}
	if err := groups.AddToScheme(s); err != nil {
		panic(err) // two types of one name
	}
	return s
}()

// unreadableText says that an object is none that Kubernetes reads; empty if
// it is one. Of a Secret it does not say why: the reason may quote a value.
func unreadableText(o events.Object) string {
	empty, err := apiTypes.New(schema.GroupVersionKind{Group: o.Kind.Group(), Version: o.Kind.Version(), Kind: string(o.Kind)})
	if err != nil {
		return "" // no kind of Kubernetes
	}
	err = o.Decode(empty)
	switch {
	case err == nil:
		return ""
	case o.Kind == events.Secret:
		return "; the API cannot read it"
	}
	return "; the API cannot read it: " + cut(err.Error(), maxValue)
}
