package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/cmd/rollcall/page"
	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/stream"
	"rollcall/publisher"
	"rollcall/publisher/gate"
)

// reasonNote is the type of the note that says why something was done on the page.
const reasonNote = "app.rollcall.page.reason"

// doors are those by which the page of a log reaches the instance that writes it:
// the API and the gate, as kubectl and rollcall emit do, with the rights of a user.
type doors struct {
	*session
	target *target
	config func(ctx context.Context) (*rest.Config, error)
}

// act does what somebody asks for on the page, and tells the gate why.
func (d doors) act(ctx context.Context, x page.Action) error {
	if err := d.may(ctx, x); err != nil {
		return err
	}
	c, err := d.config(ctx)
	if err != nil {
		return err
	}
	switch x.Do {
	case "hold":
		return tellOne(ctx, c, "hold.placed", "hold/"+x.Hold, map[string]any{"reason": x.Reason, "select": map[string]any{"daemonSets": []string{x.DaemonSet.String()}}})
	case "lift":
		data := map[string]any{"reason": x.Reason}
		if owner, name, ok := strings.Cut(x.Hold, "/"); ok {
			x.Hold, data["owner"] = name, owner
		}
		return tellOne(ctx, c, "hold.lifted", "hold/"+x.Hold, data)
	}
	if err := change(ctx, c, x); err != nil {
		return err
	}
	return tellOne(ctx, c, reasonNote, "ds/"+x.DaemonSet.String(), map[string]any{"did": x.Do, "reason": x.Reason})
}

// may refuses what the charter of the log leaves to another cluster. It is read each
// time: the instance may be started again with another one while the page is open.
func (d doors) may(ctx context.Context, x page.Action) error {
	a, err := d.target.open(ctx, d.session)
	if err != nil {
		return err
	}
	defer a.close()
	log, ok := a.history.(*stream.Log)
	if !ok {
		return nil // nothing runs there, and the API says so
	}
	e, _, err := log.Latest(ctx, a.subjects.Charter())
	if err != nil {
		return err
	}
	if c, ok := e.Body.(events.Charter); ok && !slices.Contains(page.Actions(&c), x.Do) {
		return &events.Error{Code: "E-UI-ACTION", What: fmt.Sprintf("%s cannot be done here", x.Do), Why: fmt.Sprintf("the log is the record of cluster %s (%s)", c.Cluster, c.Mode),
			Do: "do it in that cluster, with kubectl", Exit: events.ExitInput}
	}
	return nil
}

// change changes a DaemonSet through the API.
func change(ctx context.Context, c *rest.Config, x page.Action) error {
	api, err := kubernetes.NewForConfig(c)
	if err != nil {
		return err
	}
	sets := api.AppsV1().DaemonSets(x.DaemonSet.Namespace)
	if x.Do == "undo" {
		ds, err := sets.Get(ctx, x.DaemonSet.Name, metav1.GetOptions{})
		if err == nil {
			var back polymorphichelpers.Rollbacker
			if back, err = polymorphichelpers.RollbackerFor(schema.GroupKind{Group: "apps", Kind: string(events.DaemonSet)}, api); err == nil {
				_, err = back.Rollback(ds, nil, 0, util.DryRunNone)
			}
		}
		if err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
			return &events.Error{Code: "E-UI-ACTION", What: err.Error(), Where: "ds/" + x.DaemonSet.String(), Do: "see rollcall rollout list for what there was", Exit: events.ExitInput, Err: err}
		}
		return ofAPI(err, x.DaemonSet)
	}
	value := ""
	if x.Do == "pause" {
		value = "true"
	}
	_, err = sets.Patch(ctx, x.DaemonSet.Name, types.MergePatchType, annotation(events.AnnotationPaused, value), metav1.PatchOptions{FieldManager: manifest.Manager})
	return ofAPI(err, x.DaemonSet)
}

// ofAPI is what the API refuses about a DaemonSet, as an error of a command.
func ofAPI(err error, of events.Key) error {
	return refused(err, "ds/"+of.String(), func() []string { return nil })
}

// tellOne tells the gate one event.
func tellOne(ctx context.Context, c *rest.Config, what, about string, data map[string]any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	results, err := tellBy(ctx, c, []publisher.Event{{Type: what, Subject: about, Data: body}}, false)
	if err != nil {
		return err
	}
	return refusedOf(results)
}

// insert is what a manifest makes of the cluster as it was at a moment.
func (d doors) insert(ctx context.Context, text string, at replay.Moment) (all []play.Insert, err error) {
	docs, err := manifest.Read(ctx, manifest.Sources{Files: []string{"-"}, Stdin: strings.NewReader(text)})
	if err != nil {
		return nil, err
	}
	r, err := d.rehearse(ctx, d.target, at.Seq, "", docs)
	for _, i := range r.intents {
		if i.Changes() {
			all = append(all, play.Insert{Intent: i, At: at})
		}
	}
	return all, err
}

// maxRefused bounds what is listed of what the gate has refused.
const maxRefused = 100

// refusals are what the gate has refused, the last first.
func (d doors) refusals(ctx context.Context) (all []page.Refused, err error) {
	a, err := askRejects(ctx, d.target, gate.RejectsRequest{Do: gate.ListRejects})
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(a.Rejects) {
		x := page.Refused{Number: r.Number, Source: r.Source, Type: r.Type, Last: r.Last, Count: r.Count}
		if r.Problem != nil {
			x.Why = problemError(r.Problem, "").Error()
		}
		if all = append(all, x); len(all) == maxRefused {
			break
		}
	}
	return all, nil
}
