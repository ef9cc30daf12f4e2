package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"rollcall/events"
)

// Notices writes core Events of a cluster about DaemonSets, as its own controller does:
// client-go counts those that repeat, and leaves some out if there are too many.
type Notices struct {
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
}

// NewNotices returns Notices that are written until Shutdown.
func (c *Cluster) NewNotices() *Notices {
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	return &Notices{b, b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "daemonset-controller"})}
}

// Tell writes an Event about a DaemonSet.
func (n *Notices) Tell(about events.Ref, what events.Notice) {
	n.recorder.Event(&corev1.ObjectReference{APIVersion: "apps/v1", Kind: string(about.Kind), Namespace: about.Key.Namespace, Name: about.Key.Name, UID: about.UID}, what.Type, what.Reason, what.Message)
}

// Shutdown ends the writing.
func (n *Notices) Shutdown() { n.broadcaster.Shutdown() }
