package main

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/projector/story"
)

const daemonSetKind = events.DaemonSet

// resource is a kind that get shows.
type resource struct {
	kind       events.Kind
	names      []string // the first as kubectl prints it before a slash
	apiVersion string
	namespaced bool
	table      func([]events.Object, story.Columns) (story.Table, error)
}

var resources = []resource{
	{events.Node, []string{"node", "nodes", "no"}, "v1", false, tableOf[corev1.Node](story.Nodes)},
	{events.Pod, []string{"pod", "pods", "po"}, "v1", true, tableOf[corev1.Pod](story.Pods)},
	{events.DaemonSet, []string{"daemonset.apps", "daemonsets", "daemonset", "ds", "daemonsets.apps"}, "apps/v1", true,
		tableOf[appsv1.DaemonSet](story.DaemonSets)},
	{events.ControllerRevision, []string{"controllerrevision.apps", "revisions", "revision", "controllerrevisions", "controllerrevision"}, "apps/v1", true,
		tableOf[appsv1.ControllerRevision](story.Revisions)},
}

// tableOf makes a table of objects in the log from one of decoded objects.
func tableOf[T any](table func([]*T, story.Columns) story.Table) func([]events.Object, story.Columns) (story.Table, error) {
	return func(objects []events.Object, c story.Columns) (story.Table, error) {
		decoded, err := decodeAll[T](objects)
		if err != nil {
			return story.Table{}, err
		}
		return table(decoded, c), nil
	}
}

func decodeAll[T any](objects []events.Object) ([]*T, error) {
	decoded := make([]*T, len(objects))
	for i, o := range objects {
		decoded[i] = new(T)
		if err := o.Decode(decoded[i]); err != nil {
			return nil, err
		}
	}
	return decoded, nil
}

// resourceOf finds a kind by one of its names.
func resourceOf(name string) (resource, bool) {
	for _, r := range resources {
		if slices.Contains(r.names, strings.ToLower(name)) {
			return r, true
		}
	}
	return resource{}, false
}

func unknownResource(name string) error {
	var names, plurals []string
	for _, r := range resources {
		names = append(names, r.names...)
		plurals = append(plurals, r.names[1])
	}
	return usageError("E-CLI-RESOURCE", fmt.Sprintf("there are no %q", name), suggestion(name, names, "choose from "+strings.Join(plurals, ", ")))
}

// cutKind splits kind/name.
func cutKind(arg string) (kind, name string, ok bool) {
	kind, name, ok = strings.Cut(arg, "/")
	return strings.ToLower(kind), name, ok
}
