package apiserver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"

	"rollcall/events/daemonpod"
)

// daemonController is who asks for daemon pods in a cluster of Kubernetes.
var daemonController = &user.DefaultInfo{Name: "system:serviceaccount:kube-system:daemon-set-controller",
	Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", user.AllAuthenticated}}

// AdmitPod decides about a pod that is made beside the API, as if the DaemonSet
// controller of Kubernetes had asked for it, and fills in what admission fills
// in. An error that is an apierrors.APIStatus refuses the pod; another one says
// nothing. A refusal is of the cluster as the log has it, not as the tables had it. Pods of
// one revision share what they have in common: nobody may change it.
func (s *Server) AdmitPod(ctx context.Context, pod *corev1.Pod) error {
	a := s.admission
	rules := rulesOf(a.objects)
	refused := a.admitPod(ctx, pod, rules)
	if refused == nil {
		return nil
	}
	info, err := s.config.Log.Info(ctx)
	if err == nil {
		err = a.objects.Await(ctx, info.Last)
	}
	if err != nil {
		return fmt.Errorf("see whether the cluster has changed: %w", err)
	}
	now := rulesOf(a.objects)
	if now == rules {
		return refused
	}
	return a.admitPod(ctx, pod, now)
}

// requestTime bounds a decision about one pod, as kube-apiserver bounds the
// request that would ask for it.
const requestTime = 34 * time.Second

func (a *Admission) admitPod(ctx context.Context, pod *corev1.Pod, rules rulesAt) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	each := a.hooked.pods(pod.Namespace)
	if !each && a.alike.fill(pod, rules) {
		return nil
	}
	asked := *pod
	if err := a.ask(ctx, pod); err != nil {
		return err
	}
	if !each {
		a.alike.keep(asked, pod, rules)
	}
	return nil
}

// ask has the plugins decide about a pod.
func (a *Admission) ask(ctx context.Context, pod *corev1.Pod) error {
	o := new(api.Pod)
	if err := legacyscheme.Scheme.Convert(pod.DeepCopy(), o, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	asked := func() admission.Attributes {
		return admission.NewAttributesRecord(o, nil, corev1.SchemeGroupVersion.WithKind("Pod"), pod.Namespace, o.Name,
			corev1.SchemeGroupVersion.WithResource("pods"), "", admission.Create, &metav1.CreateOptions{}, false, daemonController)
	}
	// Kubernetes names a pod after it has been filled in, and before it is
	// validated: refusals differ in it.
	o.Name, o.UID = "", ""
	of := admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme)
	if err := a.Admit(ctx, asked(), of); err != nil {
		return err
	}
	o.Name, o.UID = pod.Name, pod.UID
	if err := a.sound(ctx, o); err != nil {
		return err
	}
	if err := a.Validate(ctx, asked(), of); err != nil {
		return err
	}
	admitted := new(corev1.Pod)
	if err := legacyscheme.Scheme.Convert(o, admitted, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	renameToken(pod, admitted)
	*pod = *admitted
	return nil
}

// sound does with a pod that the cluster's own rules may have changed what its
// registry does with every new one. What is made of the template alone was
// validated with it.
func (a *Admission) sound(ctx context.Context, o *api.Pod) error {
	if !a.hooked.changes() {
		return nil
	}
	podregistry.Strategy.PrepareForCreate(ctx, o)
	if errs := podregistry.Strategy.Validate(ctx, o); len(errs) > 0 {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), o.Name, errs)
	}
	return nil
}

// tokenVolume begins the name of the volume with the token of a pod's account.
const tokenVolume = serviceaccount.ServiceAccountVolumeName + "-"

// renameToken gives the volume that admission has added a name that follows from
// the template of the pod: whoever makes this pod again makes the same, and pods
// of one template have one spec but for their node.
func renameToken(asked, pod *corev1.Pod) {
	if len(pod.Spec.Volumes) == len(asked.Spec.Volumes) {
		return
	}
	v := &pod.Spec.Volumes[len(pod.Spec.Volumes)-1]
	old := v.Name
	if !strings.HasPrefix(old, tokenVolume) {
		return
	}
	v.Name = tokenVolume + suffixFor(pod)
	for _, cs := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range cs {
			for j := range cs[i].VolumeMounts {
				if m := &cs[i].VolumeMounts[j]; m.Name == old {
					m.Name = v.Name
				}
			}
		}
	}
}

// suffixFor returns five letters and digits, as Kubernetes puts them behind
// names, that follow from what made a pod and from the revision of its template.
func suffixFor(pod *corev1.Pod) string {
	from := pod.UID
	if c := metav1.GetControllerOfNoCopy(pod); c != nil {
		from = c.UID + "/" + types.UID(pod.Labels[daemonpod.RevisionLabel])
	}
	sum := sha256.Sum256([]byte("token/" + from))
	return utilrand.SafeEncodeString(fmt.Sprintf("%05d", binary.BigEndian.Uint32(sum[:])%100_000))
}
