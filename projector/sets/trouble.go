package sets

import "rollcall/events/wire"

// Trouble is why a pod does not get ready, as far as it tells.
type Trouble struct {
	Reason string // a waiting reason of Kubernetes; empty: nothing is wrong that it tells of
	Image  string // of the container
	Silent bool   // no kubelet has said anything about it
}

// Trouble reads why p does not get ready. It says the same for a container
// that is tried again and again, whatever it does just now.
func (p *Pod) Trouble() Trouble {
	t := Trouble{Silent: true}
	c := wire.NewCursor(p.Object.Data)
	for range c.Map() {
		if string(c.Str()) != "status" {
			c.Skip()
			continue
		}
		for range c.Map() {
			switch string(c.Str()) {
			case "startTime":
				t.Silent = len(c.Str()) == 0 && t.Silent
			case "phase":
				t.Silent = string(c.Str()) == "Pending" && t.Silent
			case "initContainerStatuses", "containerStatuses":
				for range c.Array() {
					t.Silent = false
					t.container(&c)
				}
			default:
				c.Skip()
			}
		}
	}
	return t
}

// container takes over what holds a container up, if none before it is held up.
func (t *Trouble) container(c *wire.Cursor) {
	var image, reason string
	ready, ended, ends := false, false, 0
	for range c.Map() {
		switch string(c.Str()) {
		case "image":
			image = string(c.Str())
		case "ready":
			ready = c.Bool()
		case "restartCount":
			ends = int(c.Int())
		case "state":
			reason, ended = containerState(c)
		default:
			c.Skip()
		}
	}
	switch {
	case t.Reason != "" || ready:
	case lastingTrouble(reason) != "":
		t.Reason, t.Image = lastingTrouble(reason), image
	case ends > 0 && (ended || reason == ""):
		t.Reason, t.Image = "CrashLoopBackOff", image
	}
}

// containerState returns what a container waits for, and whether it ended badly.
func containerState(c *wire.Cursor) (waiting string, failed bool) {
	for range c.Map() {
		switch string(c.Str()) {
		case "waiting":
			for range c.Map() {
				if string(c.Str()) == "reason" {
					waiting = string(c.Str())
				} else {
					c.Skip()
				}
			}
		case "terminated":
			for range c.Map() {
				if string(c.Str()) == "exitCode" {
					failed = c.Int() != 0
				} else {
					c.Skip()
				}
			}
		default:
			c.Skip()
		}
	}
	return waiting, failed
}

// lastingTrouble returns the name of a waiting reason that does not pass by
// itself, or "".
func lastingTrouble(reason string) string {
	switch reason {
	case "", "ContainerCreating", "PodInitializing":
		return ""
	case "ErrImagePull": // and in turn
		return "ImagePullBackOff"
	}
	return reason
}
