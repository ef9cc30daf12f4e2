package publisher

import (
	"encoding/json"
	"fmt"
	"time"
)

// Types of events that change what rollcall does.
const (
	TypeNodeObserved  = "node.observed"
	TypeNodeGone      = "node.gone"
	TypeNodeCondition = "node.condition"
	TypePodStatus     = "pod.status"
	TypeHoldPlaced    = "hold.placed"
	TypeHoldLifted    = "hold.lifted"
)

// Patch changes the keys of a map that it names: a key that is not there stays as
// it is, and one whose value is nil goes (null in JSON, as in RFC 7386).
type Patch map[string]*string

// Set returns the patch that sets all of m and takes nothing away.
func Set(m map[string]string) Patch {
	p := Patch{}
	for k, v := range m {
		p[k] = &v
	}
	return p
}

// Quantities are amounts of resources by name, each as Kubernetes writes it: "4",
// "500m", "8Gi". A key that is not there stays, and one that is nil goes.
type Quantities map[string]*Quantity

// Quantity is an amount of a resource: "4", "500m", "8Gi". In JSON a number is
// one too.
type Quantity string

// UnmarshalJSON takes a string or a number.
func (q *Quantity) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*q = Quantity(v)
	case float64:
		*q = Quantity(b)
	default:
		return fmt.Errorf("a quantity is a string or a number, and not %s", b)
	}
	return nil
}

// Amounts returns quantities that set all of m and take nothing away.
func Amounts(m map[string]string) Quantities {
	q := Quantities{}
	for k, v := range m {
		q[k] = new(Quantity(v))
	}
	return q
}

// NodeObserved tells that a node is there, and how it is as far as the source
// knows: what is not told stays as it is. Its subject is node/NAME.
type NodeObserved struct {
	Labels      Patch  `json:"labels,omitempty" jsonschema_description:"labels; those that are not named stay, null takes one away"`
	Annotations Patch  `json:"annotations,omitempty" jsonschema_description:"annotations; those that are not named stay, null takes one away"`
	ProviderID  string `json:"providerID,omitempty" jsonschema_description:"the name of the machine at who provides it"`
	// Unschedulable is nil if it stays as it is.
	Unschedulable *bool       `json:"unschedulable,omitempty" jsonschema_description:"whether the node is cordoned"`
	Taints        *[]Taint    `json:"taints,omitempty" jsonschema_description:"all taints of the node; an empty list takes all away"`
	Capacity      Quantities  `json:"capacity,omitempty" jsonschema_description:"what the node has of each resource"`
	Allocatable   Quantities  `json:"allocatable,omitempty" jsonschema_description:"what of it pods may have; if never told, as capacity"`
	Addresses     *[]Address  `json:"addresses,omitempty" jsonschema_description:"all addresses of the node"`
	Conditions    []Condition `json:"conditions,omitempty" jsonschema_description:"conditions; those of other types stay"`
	Info          *NodeInfo   `json:"nodeInfo,omitempty" jsonschema_description:"what runs on the node"`
}

// Event returns the event that tells it of a node.
func (d NodeObserved) Event(node string) (Event, error) {
	return newEvent(TypeNodeObserved, "node/"+node, d)
}

// Taint keeps pods from a node that do not tolerate it.
type Taint struct {
	Key    string `json:"key" jsonschema:"format=label-name"`
	Value  string `json:"value,omitempty" jsonschema:"format=label-value"`
	Effect string `json:"effect" jsonschema:"enum=NoSchedule,enum=PreferNoSchedule,enum=NoExecute"`
}

// Address is where a node can be reached.
type Address struct {
	Type    string `json:"type" jsonschema:"enum=Hostname,enum=InternalIP,enum=ExternalIP,enum=InternalDNS,enum=ExternalDNS"`
	Address string `json:"address" jsonschema:"minLength=1"`
}

// Condition is one condition of a node.
type Condition struct {
	Type    string `json:"type" jsonschema:"format=label-name" jsonschema_description:"Ready, DiskPressure or another"`
	Status  string `json:"status" jsonschema:"enum=True,enum=False,enum=Unknown"`
	Reason  string `json:"reason,omitempty" jsonschema:"maxLength=1024" jsonschema_description:"one word in CamelCase"`
	Message string `json:"message,omitempty" jsonschema:"maxLength=32768"`
	// LastTransitionTime is nil if the event's time, or else the gate's, is taken
	// when the status changes.
	LastTransitionTime *time.Time `json:"lastTransitionTime,omitempty"`
}

// NodeInfo is what runs on a node.
type NodeInfo struct {
	Architecture            string `json:"architecture,omitempty"`
	OperatingSystem         string `json:"operatingSystem,omitempty"`
	OSImage                 string `json:"osImage,omitempty"`
	KernelVersion           string `json:"kernelVersion,omitempty"`
	ContainerRuntimeVersion string `json:"containerRuntimeVersion,omitempty"`
	KubeletVersion          string `json:"kubeletVersion,omitempty"`
	MachineID               string `json:"machineID,omitempty"`
	SystemUUID              string `json:"systemUUID,omitempty"`
	BootID                  string `json:"bootID,omitempty"`
}

// NodeGone tells that a node is no more. Its subject is node/NAME.
type NodeGone struct {
	Reason string `json:"reason,omitempty" jsonschema:"maxLength=1024"`
}

// Event returns the event that tells it of a node.
func (d NodeGone) Event(node string) (Event, error) { return newEvent(TypeNodeGone, "node/"+node, d) }

// NodeCondition tells one condition of a node that is there. Its subject is
// node/NAME.
type NodeCondition Condition

// Event returns the event that tells it of a node.
func (d NodeCondition) Event(node string) (Event, error) {
	return newEvent(TypeNodeCondition, "node/"+node, d)
}

// PodStatus tells how a pod does, by who runs the pods of its node: what is not
// told stays as it is. Its subject is pod/NAMESPACE/NAME.
type PodStatus struct {
	// UID is of the pod that is meant; empty: whichever has the name now.
	UID       string     `json:"uid,omitempty" jsonschema:"format=uuid" jsonschema_description:"of the pod that is meant; a pod of that name with another uid is not touched"`
	Phase     string     `json:"phase,omitempty" jsonschema:"enum=Pending,enum=Running,enum=Succeeded,enum=Failed"`
	Ready     *bool      `json:"ready,omitempty" jsonschema_description:"whether the pod is ready; only a running pod can be"`
	Reason    string     `json:"reason,omitempty" jsonschema:"maxLength=1024" jsonschema_description:"one word in CamelCase"`
	Message   string     `json:"message,omitempty" jsonschema:"maxLength=32768"`
	PodIP     string     `json:"podIP,omitempty" jsonschema:"format=ip"`
	HostIP    string     `json:"hostIP,omitempty" jsonschema:"format=ip"`
	StartTime *time.Time `json:"startTime,omitempty"`
	// Containers are told by name; others stay as they are.
	Containers []Container `json:"containers,omitempty" jsonschema_description:"containers by name; others stay"`
}

// Event returns the event that tells it of a pod.
func (d PodStatus) Event(namespace, name string) (Event, error) {
	return newEvent(TypePodStatus, "pod/"+namespace+"/"+name, d)
}

// Container is how one container of a pod does.
type Container struct {
	Name       string     `json:"name" jsonschema:"format=dns-1123-label"`
	Ready      bool       `json:"ready,omitempty"`
	State      string     `json:"state" jsonschema:"enum=waiting,enum=running,enum=terminated"`
	Restarts   int32      `json:"restarts,omitempty" jsonschema:"minimum=0"`
	Reason     string     `json:"reason,omitempty" jsonschema:"maxLength=1024"`
	Message    string     `json:"message,omitempty" jsonschema:"maxLength=32768"`
	ExitCode   int32      `json:"exitCode,omitempty"`
	Image      string     `json:"image,omitempty"`
	ImageID    string     `json:"imageID,omitempty"`
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
}

// HoldPlaced tells that no rollout is to go on where it selects. Its subject is
// hold/NAME; NAME is the source's own. A second one of a name replaces the first.
type HoldPlaced struct {
	Reason string `json:"reason" jsonschema:"minLength=1,maxLength=1024" jsonschema_description:"what why-not and the status condition say"`
	Select Select `json:"select"`
	// Until is when the hold ends by itself, at most 30 days from now; nil: an
	// hour from now.
	Until *time.Time `json:"until,omitempty" jsonschema_description:"when the hold ends by itself: at most 30 days from now; if not told, in an hour"`
}

// Event returns the event that places the hold.
func (d HoldPlaced) Event(name string) (Event, error) {
	return newEvent(TypeHoldPlaced, "hold/"+name, d)
}

// Select says what a hold is about. All parts that are given have to match, and
// one has to be given. One of nodes alone holds them for every DaemonSet.
type Select struct {
	DaemonSets []string `json:"daemonSets,omitempty" jsonschema:"minItems=1,maxItems=1000,format=daemonset" jsonschema_description:"DaemonSets as NAMESPACE/NAME"`
	Namespaces []string `json:"namespaces,omitempty" jsonschema:"minItems=1,maxItems=1000,format=dns-1123-label"`
	Labels     string   `json:"labels,omitempty" jsonschema:"minLength=1,format=label-selector" jsonschema_description:"a label selector over DaemonSets"`
	Nodes      []string `json:"nodes,omitempty" jsonschema:"minItems=1,maxItems=10000,format=dns-1123-subdomain" jsonschema_description:"names of nodes"`
	NodeLabels string   `json:"nodeLabels,omitempty" jsonschema:"minLength=1,format=label-selector" jsonschema_description:"a label selector over nodes"`
}

// HoldLifted tells that a hold of the same source has ended. Its subject is
// hold/NAME.
type HoldLifted struct {
	// Owner is the source whose hold it is; only the admin lifts that of another.
	Owner  string `json:"owner,omitempty" jsonschema:"maxLength=63" jsonschema_description:"whose hold it is, if not the sender's own: the admin lifts those of others"`
	Reason string `json:"reason,omitempty" jsonschema:"maxLength=1024"`
}

// Event returns the event that lifts the hold.
func (d HoldLifted) Event(name string) (Event, error) {
	return newEvent(TypeHoldLifted, "hold/"+name, d)
}

// Note is the part of the data of an event of somebody else's type that rollcall
// reads: what the note is about, besides the event's subject. The rest of the
// data is kept as it is.
type Note struct {
	Objects []string `json:"objects,omitempty" jsonschema:"maxItems=100,format=object" jsonschema_description:"what it is about: node/NAME, pod/NAMESPACE/NAME, ds/NAMESPACE/NAME"`
}
