package story

import (
	"cmp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// createdText says what was created.
func createdText(o events.Object) string {
	switch o.Kind {
	case events.Pod:
		if !hasStarted(o.Data) {
			return joined("created for "+cmp.Or(podNode(o.Data), "any node"), revisionPart(o.Data))
		}
	case events.ControllerRevision:
		return revisionName(o.Data) + " created" + inBrackets(revisionHash(o.Data))
	}
	if s := summary(o); s != "" {
		return "created: " + s
	}
	return "created"
}

// firstText says what an object is whose earlier states are not known.
func firstText(o events.Object) string {
	if o.Kind == events.ControllerRevision {
		return "now " + revisionName(o.Data) + inBrackets(revisionHash(o.Data))
	}
	if s := summary(o); s != "" {
		return "now " + s
	}
	return "updated; its state before is not known"
}

// summary says what an object is in a few words; empty for kinds without. Of
// pods and nodes it says what their change from nothing says.
func summary(o events.Object) string {
	switch o.Kind {
	case events.Pod:
		t := tell(o.Kind, nil, o.Data)
		is := text(find(o.Data, "status", "phase")) + t.podReason()
		if node := podNode(o.Data); node != "" {
			is += " on " + node
		}
		parts := append([]string{is}, t.of(rankEnding, rankStatus, rankCondition)...)
		return joined(append(parts, revisionPart(o.Data))...)
	case events.Node:
		return joined(tell(o.Kind, nil, o.Data).of(rankSpec, rankCondition)...)
	case events.DaemonSet:
		var ds appsv1.DaemonSet
		if o.Decode(&ds) != nil {
			return ""
		}
		return daemonSetSummary(&ds)
	}
	return ""
}

func daemonSetSummary(ds *appsv1.DaemonSet) string {
	var parts []string
	for _, c := range ds.Spec.Template.Spec.Containers {
		parts = append(parts, "image "+cut(c.Image, maxValue))
	}
	u := ds.Spec.UpdateStrategy
	if u.Type != "" && u.Type != appsv1.RollingUpdateDaemonSetStrategyType {
		parts = append(parts, "strategy "+string(u.Type))
	}
	if r := u.RollingUpdate; r != nil {
		if r.MaxSurge != nil && r.MaxSurge.String() != "0" {
			parts = append(parts, "maxSurge "+r.MaxSurge.String())
		} else if r.MaxUnavailable != nil {
			parts = append(parts, "maxUnavailable "+r.MaxUnavailable.String())
		}
	}
	return strings.Join(parts, ", ")
}

func revisionName(data []byte) string {
	return "revision " + cmp.Or(text(find(data, "revision")), "0")
}

// revisionHash returns the revision that a pod or a ControllerRevision says it is of.
func revisionHash(data []byte) string {
	return text(find(data, "metadata", "labels", daemonpod.RevisionLabel))
}

func revisionPart(data []byte) string {
	if h := revisionHash(data); h != "" {
		return "revision " + h
	}
	return ""
}

func hasStarted(pod []byte) bool {
	phase := text(find(pod, "status", "phase"))
	return phase != "" && phase != string(corev1.PodPending) || find(pod, "spec", "nodeName") != nil
}

// podNode returns the node that a pod is on or for; empty: it is for any.
func podNode(data []byte) string {
	if n := find(data, "spec", "nodeName"); n != nil {
		return text(n)
	}
	terms := find(data, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	for _, term := range elements(terms) {
		for _, f := range elements(find(term, "matchFields")) {
			if values := elements(find(f, "values")); text(find(f, "key")) == "metadata.name" && len(values) == 1 {
				return text(values[0])
			}
		}
	}
	return ""
}

func joined(parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, ", ")
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
