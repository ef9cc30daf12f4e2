package executor

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/table"
)

// Reasons of outcomes.
const (
	reasonDaemonSetGone  = "DaemonSetGone"  // the DaemonSet of the plan is no longer there, or is being deleted
	reasonNodeGone       = "NodeGone"       // the node of the plan is no longer there
	reasonNoRevision     = "RevisionGone"   // the revision of the plan is not known
	reasonExists         = "Exists"         // the pod is already there
	reasonAlreadyExists  = "AlreadyExists"  // another pod has the name
	reasonPodGone        = "PodGone"        // the pod is no longer there
	reasonTerminating    = "Terminating"    // the pod is already being deleted
	reasonNotOwned       = "NotOwned"       // the pod has another controller
	reasonOwned          = "Owned"          // the pod has a controller already
	reasonNotSelected    = "NotSelected"    // the DaemonSet does not select the pod
	reasonTooLarge       = "TooLarge"       // the pod is larger than a log takes
	reasonUnreadable     = "Unreadable"     // the pod in the log cannot be decoded
	reasonUnknownCommand = "UnknownCommand" // this version does not know the command
)

// situation is what a command is decided from, as the log has it. Nothing in
// it is modified.
type situation struct {
	owner    events.Ref
	command  events.Command
	set      *appsv1.DaemonSet       // nil: gone
	template *corev1.PodTemplateSpec // of a create; nil: not known
	node     nodeFact                // of the command or, to delete an object, of the pod; the zero one: gone
	pod      *table.Item             // under the name; nil: none
}

// verdict is what to do: something to a pod, or an outcome.
type verdict struct {
	act     act
	pod     *corev1.Pod // belongs to the verdict
	to      *target     // to delete or to update: the pod as it was
	gone    bool        // to delete: its node is gone
	outcome events.Type // empty: act
	reason  string
	message string
}

type act int

const (
	actCreate act = iota + 1
	actDelete
	actUpdate
)

func overtaken(reason, message string) verdict {
	return verdict{outcome: events.Overtaken, reason: reason, message: message}
}

func failed(reason, message string) verdict {
	return verdict{outcome: events.Failed, reason: reason, message: message}
}

// decide says what carrying out a command means in a situation.
func (s *situation) decide(now time.Time) verdict {
	switch s.command.Do {
	case events.CreatePod:
		return s.create(now)
	case events.DeletePod:
		return s.delete()
	case events.AdoptPod:
		return s.adopt()
	case events.ReleasePod:
		return s.release()
	}
	return unknown(s.command.Do)
}

func unknown(do events.Verb) verdict {
	return failed(reasonUnknownCommand, "this version cannot "+string(do))
}

func (s *situation) create(now time.Time) verdict {
	switch {
	case s.pod != nil && s.pod.Object.UID == s.command.UID:
		return overtaken(reasonExists, "the pod is already there")
	case s.set == nil:
		return overtaken(reasonDaemonSetGone, "the DaemonSet was deleted")
	case s.set.DeletionTimestamp != nil:
		return overtaken(reasonDaemonSetGone, "the DaemonSet is being deleted")
	case s.node.uid == "" || s.node.uid != s.command.NodeUID:
		return overtaken(reasonNodeGone, "node "+s.command.Node+" was deleted")
	case s.template == nil:
		return overtaken(reasonNoRevision, "revision "+s.command.Revision+" is not there")
	case s.pod != nil:
		return failed(reasonAlreadyExists, "pods \""+s.command.Key.Name+"\" already exists")
	}
	pod := daemonpod.New(s.set, s.template, s.command, now)
	if s.node.real && len(pod.Spec.SchedulingGates) == 0 {
		pod.Spec.NodeName = s.command.Node // a kubelet takes no pod but one that is bound to its node
	}
	return verdict{act: actCreate, pod: pod}
}

// existing opens the pod that the command names by uid.
func (s *situation) existing() (*target, verdict) {
	if s.pod == nil || s.pod.Object.UID != s.command.UID {
		return nil, overtaken(reasonPodGone, "the pod is already gone")
	}
	to, err := openTarget(s.pod.Object)
	if err != nil {
		return nil, failed(reasonUnreadable, err.Error())
	}
	return to, verdict{}
}

func (s *situation) delete() verdict {
	to, v := s.existing()
	if to == nil {
		return v
	}
	pod := to.pod
	if c := metav1.GetControllerOfNoCopy(pod); c != nil && c.UID != s.owner.UID {
		return overtaken(reasonNotOwned, "the pod belongs to "+c.Kind+" "+c.Name)
	}
	// A node of the same name is another node, whose kubelet never had the pod.
	other := s.command.NodeUID != "" && s.command.NodeUID != s.node.uid
	gone := pod.Spec.NodeName == s.command.Node && (s.node.uid == "" || other)
	if pod.DeletionTimestamp != nil && (!gone || len(pod.Finalizers) > 0) {
		return overtaken(reasonTerminating, "the pod is already being deleted")
	}
	return verdict{act: actDelete, pod: pod, to: to, gone: gone}
}

func (s *situation) adopt() verdict {
	to, v := s.existing()
	if to == nil {
		return v
	}
	pod := to.pod
	switch {
	case pod.DeletionTimestamp != nil:
		return overtaken(reasonTerminating, "the pod is being deleted")
	case s.set == nil || s.set.DeletionTimestamp != nil:
		return overtaken(reasonDaemonSetGone, "the DaemonSet is gone or being deleted")
	case metav1.GetControllerOfNoCopy(pod) != nil:
		return overtaken(reasonOwned, "the pod has a controller already")
	}
	selector, err := metav1.LabelSelectorAsSelector(s.set.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
		return overtaken(reasonNotSelected, "the DaemonSet does not select the pod")
	}
	pod.OwnerReferences = append(s.others(pod), daemonpod.ControllerRef(s.set))
	return verdict{act: actUpdate, pod: pod, to: to}
}

func (s *situation) release() verdict {
	to, v := s.existing()
	if to == nil {
		return v
	}
	pod := to.pod
	if c := metav1.GetControllerOfNoCopy(pod); c == nil || c.UID != s.owner.UID {
		return overtaken(reasonNotOwned, "the DaemonSet does not control the pod")
	}
	pod.OwnerReferences = s.others(pod)
	return verdict{act: actUpdate, pod: pod, to: to}
}

// others returns the pod's owners without the DaemonSet.
func (s *situation) others(pod *corev1.Pod) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(pod.OwnerReferences), func(r metav1.OwnerReference) bool {
		return r.UID == s.owner.UID
	})
}
