package story

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// Ranks order the phrases of one event: what matters most comes first.
const (
	rankOwner = iota
	rankBound
	rankEnding
	rankPhase
	rankSpec
	rankBudget
	rankStatus
	rankCondition
	rankGeneration
	rankMeta
)

// telling collects what is said about one change of an object. Quiet changes are
// told only if there are no others, so that no event goes without words.
type telling struct {
	kind     events.Kind
	old, new []byte
	phrases  []phrase
	rest     []change
	quiet    []change

	told map[string]bool // phrases that several changes share
}

type phrase struct {
	rank int
	text string
}

func (t *telling) say(rank int, format string, args ...any) {
	t.phrases = append(t.phrases, phrase{rank, fmt.Sprintf(format, args...)})
}

// once reports whether it is called with this name for the first time.
func (t *telling) once(name string) bool {
	if t.told == nil {
		t.told = map[string]bool{}
	}
	first := !t.told[name]
	t.told[name] = true
	return first
}

// How many changes are spelled out that have no words of their own.
const (
	maxRest  = 5
	maxQuiet = 3
)

// Change says in a few words how an object changed: "image v1→v2, generation
// 3→4". old is nil for one that was created. It is what `rollcall log` tells of
// the same change.
func Change(old, new events.Object) string {
	if old.Data == nil {
		return OneLine(createdText(new))
	}
	return OneLine(changeText(new.Kind, old.Data, new.Data))
}

// tell collects what is said about a change of an object, in the order of rank.
func tell(kind events.Kind, old, new []byte) *telling {
	t := &telling{kind: kind, old: old, new: new}
	for _, c := range diff(old, new) {
		t.take(c)
	}
	slices.SortStableFunc(t.phrases, func(a, b phrase) int { return cmp.Compare(a.rank, b.rank) })
	return t
}

// of returns the phrases of some ranks.
func (t *telling) of(ranks ...int) []string {
	var parts []string
	for _, p := range t.phrases {
		if slices.Contains(ranks, p.rank) {
			parts = append(parts, p.text)
		}
	}
	return parts
}

// changeText says how an object changed.
func changeText(kind events.Kind, old, new []byte) string {
	t := tell(kind, old, new)
	var parts []string
	for _, p := range t.phrases {
		parts = append(parts, p.text)
	}
	parts = append(parts, paths(t.rest, maxRest)...)
	if len(parts) == 0 {
		numbered := func(c change) bool { return c.is("metadata", "resourceVersion") } // as every fact of a record is
		if slices.ContainsFunc(t.quiet, func(c change) bool { return !numbered(c) }) {
			t.quiet = slices.DeleteFunc(t.quiet, numbered)
		}
		parts = paths(t.quiet, maxQuiet)
	}
	if len(parts) == 0 {
		return "unchanged"
	}
	return strings.Join(parts, ", ")
}

func paths(cs []change, limit int) []string {
	var parts []string
	for i := range cs[:min(len(cs), limit)] {
		parts = append(parts, arrow(pathText(cs[i].path), &cs[i]))
	}
	if more := len(cs) - limit; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return parts
}

// take finds words for c.
func (t *telling) take(c change) {
	done := false
	switch t.kind {
	case events.Node:
		done = t.node(&c)
	case events.Pod:
		done = t.pod(&c)
	case events.DaemonSet:
		done = t.daemonSet(&c)
	case events.ControllerRevision:
		done = t.revision(&c)
	case events.Secret:
		done = t.secret(&c)
	}
	switch {
	case done || t.meta(&c):
	case t.isQuiet(&c):
		t.quiet = append(t.quiet, c)
	default:
		t.rest = append(t.rest, c)
	}
}

// meta finds words for what all kinds have.
func (t *telling) meta(c *change) bool {
	switch {
	case c.is("metadata", "labels", "*"):
		t.say(rankMeta, "label %s", arrow(c.last(), c))
	case c.is("metadata", "annotations", "*") && !quietAnnotation(c.last()):
		t.say(rankMeta, "annotation %s", arrow(c.last(), c))
	case c.is("metadata", "finalizers", "*") && c.new != nil:
		t.say(rankMeta, "finalizer %s", c.last())
	case c.is("metadata", "finalizers", "*"):
		t.say(rankMeta, "finalizer -%s", c.last())
	case c.is("metadata", "generation") && t.kind != events.Pod:
		t.say(rankGeneration, "generation %s→%s", short(c.old), short(c.new))
	case c.is("metadata", "deletionTimestamp") && c.old == nil:
		grace := ""
		if g := find(t.new, "metadata", "deletionGracePeriodSeconds"); g != nil {
			grace = " (grace " + text(g) + "s)"
		}
		t.say(rankEnding, "terminating%s", grace)
	case c.is("metadata", "ownerReferences", "*"):
		t.owner(c)
	default:
		return false
	}
	return true
}

func (t *telling) owner(c *change) {
	v, came := c.new, "adopted"
	if v == nil {
		v, came = c.old, "released"
	}
	name := shortKind(events.Kind(text(find(v, "kind")))) + "/" + text(find(v, "name"))
	if text(find(v, "controller")) == "true" {
		t.say(rankOwner, "%s by %s", came, name)
		return
	}
	sign := ""
	if came == "released" {
		sign = "-"
	}
	t.say(rankOwner, "owner %s%s", sign, name)
}

// quietAnnotation reports whether an annotation repeats what the object says.
func quietAnnotation(k string) bool {
	return k == corev1.LastAppliedConfigAnnotation || k == daemonpod.GenerationAnnotation
}

// isQuiet reports whether c only follows from something else, or beats.
func (t *telling) isQuiet(c *change) bool {
	switch {
	case c.in("metadata"):
		switch c.path[min(1, len(c.path)-1)] {
		case "resourceVersion", "managedFields", "generation", "deletionGracePeriodSeconds", "selfLink",
			"deletionTimestamp", "annotations":
			return true
		}
	case c.in("status", "conditions"):
		return true
	case t.kind == events.Pod && c.in("status"):
		return true
	case t.kind == events.Node && (c.in("status", "images") || c.in("spec", "taints", "*", "timeAdded")):
		return true
	case t.kind == events.DaemonSet:
		return c.is("status", "observedGeneration") || c.is("status", "numberUnavailable")
	}
	return false
}

// condition tells a change of a condition's status. A condition that appears
// and is not True says nothing, but for the Ready of a node. Between two instants
// Ready may have been something else, and be what it was.
func (t *telling) condition(c *change, quiet ...string) bool {
	if c.is("status", "conditions", "Ready", "lastTransitionTime") && c.old != nil && c.new != nil {
		was, is := statusOf(t.old, "Ready"), statusOf(t.new, "Ready")
		if was != is {
			return false
		}
		t.say(rankCondition, "Ready %s again since %s", is, text(c.new))
		return true
	}
	if !c.is("status", "conditions", "*", "status") || slices.Contains(quiet, c.path[2]) {
		return false
	}
	name := c.path[2]
	switch {
	case c.old != nil && c.new != nil:
		t.say(rankCondition, "%s %s→%s", name, short(c.old), short(c.new))
	case c.new != nil && (text(c.new) == "True" || name == "Ready" && t.kind == events.Node):
		t.say(rankCondition, "%s %s", name, short(c.new))
	default:
		return false
	}
	return true
}

// statusOf returns the status of a condition of an object; empty: it has none.
func statusOf(object []byte, condition string) string {
	return text(find(element(find(object, "status", "conditions"), "type", condition), "status"))
}

func (t *telling) node(c *change) bool {
	switch {
	case c.is("spec", "taints", "*"):
		if c.new != nil {
			t.say(rankSpec, "taint +%s", taintText(c.new))
		} else {
			t.say(rankSpec, "taint -%s:%s", text(find(c.old, "key")), text(find(c.old, "effect")))
		}
	case c.is("spec", "taints", "*", "value"):
		t.say(rankSpec, "taint %s", arrow(c.path[2], c))
	case c.is("spec", "unschedulable") && text(c.new) == "true":
		t.say(rankSpec, "cordoned")
	case c.is("spec", "unschedulable"):
		t.say(rankSpec, "uncordoned")
	default:
		return t.condition(c)
	}
	return true
}

// taintText writes a taint as kubectl taint takes it.
func taintText(v []byte) string {
	s := text(find(v, "key"))
	if value := text(find(v, "value")); value != "" {
		s += "=" + value
	}
	return s + ":" + text(find(v, "effect"))
}

func (t *telling) revision(c *change) bool {
	if !c.is("revision") {
		return false
	}
	t.say(rankSpec, "renumbered %s→%s", short(c.old), short(c.new))
	return true
}

// image tells a change of a container's image: only tags, if it is the same image.
func (t *telling) image(c *change, container string, several bool) {
	old, new := text(c.old), text(c.new)
	name := ""
	if several {
		name = container + " "
	}
	if c.old == nil || c.new == nil {
		t.say(rankSpec, "image %s%s→%s", name, cmp.Or(old, "none"), cmp.Or(new, "none"))
		return
	}
	oldName, oldTag := splitImage(old)
	newName, newTag := splitImage(new)
	if oldName == newName && oldTag != "" && newTag != "" {
		old, new = oldTag, newTag
	}
	t.say(rankSpec, "image %s%s→%s", name, cut(old, maxValue), cut(new, maxValue))
}

// splitImage splits an image into its name and its tag or digest.
func splitImage(s string) (name, tag string) {
	if i := strings.IndexByte(s, '@'); i >= 0 {
		return s[:i], s[i+1:]
	}
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		return s[:i], s[i+1:]
	}
	return s, ""
}
