package events

// Sources and types of what the record of a real cluster has besides its objects.
const (
	SourceKube   = "kube"        // heard in a watch or a list
	SourceRelist = "kube/relist" // known, and not in a list any more

	NoteKubeEvent = "io.k8s.event"    // an Event of the cluster about a DaemonSet: a KubeEvent
	NoteRelisted  = "io.k8s.relisted" // states between two lists may be missing: a Relisted

	NoteLarge   = "io.k8s.object.large"   // the log does not take an object as it is: it is too large
	NoteStrange = "io.k8s.object.strange" // the same: it has a form that no log holds
	NoteGone    = "io.k8s.object.gone"    // one of which that was told is gone
)

// KubeEvent is a core Event of a cluster, as a note of it is kept.
type KubeEvent struct {
	Type      string `json:"type"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Component string `json:"component"`
	Count     int32  `json:"count,omitempty"`
}

// Relisted says that of a resource all was listed again, and why: of what was between
// two revisions of the cluster's store states may be missing.
type Relisted struct {
	Resource string `json:"resource"`
	From     uint64 `json:"from"`
	To       uint64 `json:"to"`
	Why      string `json:"why"`
}
