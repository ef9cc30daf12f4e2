package executor

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/table"
)

// Reasons of outcomes.
const (
	ReasonDaemonSetGone  = "DaemonSetGone"  // the DaemonSet of the plan is no longer there, or is being deleted
	ReasonNodeGone       = "NodeGone"       // the node of the plan is no longer there
	ReasonNoRevision     = "RevisionGone"   // the revision of the plan is not known
	ReasonExists         = "Exists"         // the pod is already there
	ReasonAlreadyExists  = "AlreadyExists"  // another pod has the name
	ReasonPodGone        = "PodGone"        // the pod is no longer there
	ReasonTerminating    = "Terminating"    // the pod is already being deleted
	ReasonNotOwned       = "NotOwned"       // the pod has another controller
	ReasonOwned          = "Owned"          // the pod has a controller already
	ReasonNotSelected    = "NotSelected"    // the DaemonSet does not select the pod
	ReasonTooLarge       = "TooLarge"       // the pod is larger than a log takes
	ReasonUnreadable     = "Unreadable"     // the pod in the log cannot be decoded
	ReasonUnknownCommand = "UnknownCommand" // this version does not know the command
)

// situation is what a command is decided from, as the log has it. Nothing in
// it is modified.
type situation struct {
	owner    events.Ref
	command  events.Command
	set      *appsv1.DaemonSet       // nil: gone
	template *corev1.PodTemplateSpec // of a create; nil: not known
	priority priority
	refusal  *Refusal    // why no pod may be made
	nodeUID  types.UID   // of the node of the command or, to delete an object, of the pod; empty: gone
	pod      *table.Item // under the name; nil: none
}

// verdict is what to do: something to a pod, or an outcome.
type verdict struct {
	act     act
	pod     *corev1.Pod // belongs to the verdict
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
	return failed(ReasonUnknownCommand, "this version cannot "+string(do))
}

func (s *situation) create(now time.Time) verdict {
	switch {
	case s.pod != nil && s.pod.Object.UID == s.command.UID:
		return overtaken(ReasonExists, "the pod is already there")
	case s.set == nil:
		return overtaken(ReasonDaemonSetGone, "the DaemonSet was deleted")
	case s.set.DeletionTimestamp != nil:
		return overtaken(ReasonDaemonSetGone, "the DaemonSet is being deleted")
	case s.nodeUID == "" || s.nodeUID != s.command.NodeUID:
		return overtaken(ReasonNodeGone, "node "+s.command.Node+" was deleted")
	case s.template == nil:
		return overtaken(ReasonNoRevision, "revision "+s.command.Revision+" is not there")
	case s.pod != nil:
		return failed(ReasonAlreadyExists, "pods \""+s.command.Key.Name+"\" already exists")
	case s.refusal != nil:
		return failed(s.refusal.Reason, s.refusal.Message)
	}
	pod := daemonpod.New(s.set, s.template, s.command, now)
	s.priority.admit(pod)
	return verdict{act: actCreate, pod: pod}
}

// existing decodes the pod that the command names by uid.
func (s *situation) existing() (*corev1.Pod, verdict) {
	if s.pod == nil || s.pod.Object.UID != s.command.UID {
		return nil, overtaken(ReasonPodGone, "the pod is already gone")
	}
	pod := new(corev1.Pod)
	if err := s.pod.Object.Decode(pod); err != nil {
		return nil, failed(ReasonUnreadable, err.Error())
	}
	return pod, verdict{}
}

func (s *situation) delete() verdict {
	pod, v := s.existing()
	if pod == nil {
		return v
	}
	if c := metav1.GetControllerOfNoCopy(pod); c != nil && c.UID != s.owner.UID {
		return overtaken(ReasonNotOwned, "the pod belongs to "+c.Kind+" "+c.Name)
	}
	// A node of the same name is another node, whose kubelet never had the pod.
	other := s.command.NodeUID != "" && s.command.NodeUID != s.nodeUID
	gone := pod.Spec.NodeName == s.command.Node && (s.nodeUID == "" || other)
	if pod.DeletionTimestamp != nil && (!gone || len(pod.Finalizers) > 0) {
		return overtaken(ReasonTerminating, "the pod is already being deleted")
	}
	return verdict{act: actDelete, pod: pod, gone: gone}
}

func (s *situation) adopt() verdict {
	pod, v := s.existing()
	switch {
	case pod == nil:
		return v
	case pod.DeletionTimestamp != nil:
		return overtaken(ReasonTerminating, "the pod is being deleted")
	case s.set == nil || s.set.DeletionTimestamp != nil:
		return overtaken(ReasonDaemonSetGone, "the DaemonSet is gone or being deleted")
	case metav1.GetControllerOfNoCopy(pod) != nil:
		return overtaken(ReasonOwned, "the pod has a controller already")
	}
	selector, err := metav1.LabelSelectorAsSelector(s.set.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
		return overtaken(ReasonNotSelected, "the DaemonSet does not select the pod")
	}
	pod.OwnerReferences = append(s.others(pod), daemonpod.ControllerRef(s.set))
	return verdict{act: actUpdate, pod: pod}
}

func (s *situation) release() verdict {
	pod, v := s.existing()
	if pod == nil {
		return v
	}
	if c := metav1.GetControllerOfNoCopy(pod); c == nil || c.UID != s.owner.UID {
		return overtaken(ReasonNotOwned, "the DaemonSet does not control the pod")
	}
	pod.OwnerReferences = s.others(pod)
	return verdict{act: actUpdate, pod: pod}
}

// others returns the pod's owners without the DaemonSet.
func (s *situation) others(pod *corev1.Pod) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(pod.OwnerReferences), func(r metav1.OwnerReference) bool {
		return r.UID == s.owner.UID
	})
}
