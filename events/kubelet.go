package events

import "time"

// Notice is a core Event of Kubernetes about a pod, as its scheduler or its
// kubelet reports it. It is a view of two states of the pod: nothing in the log.
type Notice struct {
	Type      string // Normal or Warning
	Reason    string
	Message   string
	Component string // default-scheduler or kubelet
	Host      string // the kubelet's node
	FieldPath string // of the container, such as spec.containers{name}; empty: the whole pod
}

// LogLine is one line that a container has written.
type LogLine struct {
	At   time.Time
	Text string
}

// ContainerLog is what a container has written in one of its lives: from a
// start until the end that followed.
type ContainerLog struct {
	Lines []LogLine
	Life  string    // names the life: another start is another
	Ended bool      // nothing more will come
	Next  time.Time // when more comes by itself; zero: not before the pod changes
}
