package events

import "k8s.io/apimachinery/pkg/types"

func (d *decoder) basis() (b Basis) {
	if d.two("basis") {
		b.Seq = Seq(d.count())
		b.Now = d.time()
	}
	return b
}

func (d *decoder) collection() *Collection {
	c := new(Collection)
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "basis":
			c.Basis = d.basis()
		case "commands":
			c.Commands = list(d, MaxCommands, d.collectCommand)
		default:
			d.Skip()
		}
	}
	return c
}

func (d *decoder) collectCommand() (c CollectCommand) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "do":
			c.Do = Verb(intern(d.Str()))
		case "ref":
			c.Ref = d.readRef()
		case "owners":
			c.Owners = list(d, 1, func() types.UID { return types.UID(d.Str()) })
		case "finalizer":
			c.Finalizer = d.string()
		case "reason":
			c.Reason = Reason(intern(d.Str()))
		default:
			d.Skip()
		}
	}
	return c
}

func (d *decoder) uncollected() (u Uncollected) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "command":
			u.Command = d.collectCommand()
		case "reason":
			u.Reason = d.string()
		case "message":
			u.Message = d.string()
		default:
			d.Skip()
		}
	}
	return u
}

// intern returns one string for each of the few words that most events repeat,
// without an allocation.
func intern(b []byte) string {
	switch string(b) {
	case "pod.created":
		return "pod.created"
	case "pod.updated":
		return "pod.updated"
	case "pod.deleted":
		return "pod.deleted"
	case "node.updated":
		return "node.updated"
	case "daemonset.updated":
		return "daemonset.updated"
	case "daemonset.planned":
		return string(Planned)
	case "Pod":
		return string(Pod)
	case "Node":
		return string(Node)
	case "DaemonSet":
		return string(DaemonSet)
	case "CreatePod":
		return string(CreatePod)
	case "DeletePod":
		return string(DeletePod)
	case "Missing":
		return string(Missing)
	case "Rollout":
		return string(Rollout)
	case "kubelet":
		return "kubelet"
	case "executor":
		return "executor"
	case "controller":
		return "controller"
	}
	return string(b)
}
