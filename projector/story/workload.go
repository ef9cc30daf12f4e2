package story

import (
	"cmp"
	"strings"

	"rollcall/events"
)

func (t *telling) pod(c *change) bool {
	switch {
	case c.is("spec", "nodeName") && c.old == nil:
		t.say(rankBound, "bound to %s", short(c.new))
	case c.is("status", "phase"):
		t.say(rankPhase, "%s%s", short(c.new), t.podReason())
	case c.is("status", "reason") && c.new != nil:
		if find(t.old, "status", "phase") != nil && text(find(t.old, "status", "phase")) == text(find(t.new, "status", "phase")) {
			t.say(rankPhase, "reason %s", short(c.new))
		}
	case c.is("spec", "*", "*", "image"):
		t.image(c, c.path[2], len(elements(find(t.new, "spec", c.path[1]))) > 1)
	case c.in("status", "containerStatuses"), c.in("status", "initContainerStatuses"):
		return t.container(c)
	default:
		return t.condition(c, "Initialized", "PodScheduled", "ContainersReady", "PodReadyToStartContainers")
	}
	return true
}

// podReason is the reason that stands beside a new phase.
func (t *telling) podReason() string {
	return inBrackets(short(find(t.new, "status", "reason")))
}

// container tells a change of a container's status.
func (t *telling) container(c *change) bool {
	if len(c.path) < 4 {
		return false
	}
	list, name := c.path[1], c.path[2]
	who := ""
	switch {
	case list == "initContainerStatuses":
		who = "init " + name + ": "
	case len(elements(find(t.new, "status", list))) > 1:
		who = name + ": "
	}
	switch {
	case c.is("status", list, name, "state", "waiting", "reason") && c.new != nil:
		t.say(rankStatus, "%s%s", who, short(c.new))
	case c.is("status", list, name, "state", "terminated", "exitCode") && c.new != nil:
		s := element(find(t.new, "status", list), "name", name)
		t.say(rankStatus, "%sexited %s%s", who, short(c.new), inBrackets(short(find(s, "state", "terminated", "reason"))))
	case c.is("status", list, name, "restartCount") && c.old != nil:
		t.say(rankStatus, "%srestarts %s→%s", who, short(c.old), short(c.new))
	default:
		return false
	}
	return true
}

func (t *telling) daemonSet(c *change) bool {
	switch {
	case c.is("spec", "template", "spec", "*", "*", "image"):
		t.image(c, c.path[4], len(elements(find(t.new, c.path[:4]...))) > 1)
	case c.is("spec", "updateStrategy", "type"):
		t.say(rankBudget, "strategy %s→%s", short(c.old), short(c.new))
	case c.is("spec", "updateStrategy", "rollingUpdate", "*"):
		t.say(rankBudget, "%s", arrow(c.last(), c))
	case c.in("status") && len(c.path) == 2 && countName(c.last()) != "":
		if t.once("counts") {
			t.counts()
		}
	case c.is("status", "collisionCount"):
		t.say(rankStatus, "hash collisions %s", short(c.new))
	case c.in("status", "conditions"):
		return t.rolloutCondition(c)
	default:
		return false
	}
	return true
}

// counted are the numbers of a DaemonSet's status in the order in which they
// are told; all but desired out of it.
var counted = [...]struct{ field, name string }{
	{"desiredNumberScheduled", "desired"},
	{"currentNumberScheduled", "scheduled"},
	{"numberReady", "ready"},
	{"updatedNumberScheduled", "updated"},
	{"numberAvailable", "available"},
	{"numberMisscheduled", "misscheduled"},
}

func countName(field string) string {
	for _, n := range counted {
		if n.field == field {
			return n.name
		}
	}
	return ""
}

// counts tells the numbers of a status that moved.
func (t *telling) counts() {
	number := func(v []byte, field string) string {
		if s := text(find(v, "status", field)); s != "" {
			return s
		}
		return "0"
	}
	desired := number(t.new, "desiredNumberScheduled")
	var parts []string
	for _, n := range counted {
		old, new := number(t.old, n.field), number(t.new, n.field)
		switch {
		case old == new:
		case n.name == "desired" || n.name == "misscheduled":
			parts = append(parts, n.name+" "+old+"→"+new)
		default:
			parts = append(parts, n.name+" "+new+"/"+desired)
		}
	}
	if len(parts) > 0 {
		t.say(rankStatus, "%s", strings.Join(parts, ", "))
	}
}

// rolloutCondition tells the conditions of a DaemonSet: Stalled with what it
// waits for, Progressing by its reason and what keeps it, others by their status.
func (t *telling) rolloutCondition(c *change) bool {
	if len(c.path) != 4 {
		return false
	}
	is := element(find(t.new, "status", "conditions"), "type", c.path[2])
	switch {
	case c.path[2] == "Progressing" && c.last() == "reason" && c.new != nil:
		t.say(rankCondition, "%s", short(c.new))
	case c.path[2] == "Progressing" && c.last() == "message":
		_, was, _ := strings.Cut(text(c.old), "; ")
		_, waits, _ := strings.Cut(text(c.new), "; ")
		if waits == was {
			return false
		}
		t.say(rankCondition, "%s", cut(OneLine("waits: "+cmp.Or(waits, "for nothing any more")), 3*maxValue))
	case c.path[2] == "Progressing":
		return false
	case c.path[2] == "Stalled" && c.last() == "status" && text(c.new) == "True":
		t.say(rankCondition, "Stalled: %s", cut(OneLine(text(find(is, "message"))), 3*maxValue))
	case c.path[2] == "Stalled" && c.last() == "status" && text(c.old) == "True":
		t.say(rankCondition, "no longer Stalled")
	default:
		return t.condition(c)
	}
	return true
}

// daemonSetOf returns the DaemonSet that an object belongs to: itself, the one
// that controls it, or else the one that controlled it before.
func daemonSetOf(r events.Ref, states ...[]byte) events.Key {
	if r.Kind == events.DaemonSet {
		return r.Key
	}
	for _, data := range states {
		if c := controllerOf(r, data); c.Kind == events.DaemonSet {
			return c.Key
		}
	}
	return events.Key{}
}
