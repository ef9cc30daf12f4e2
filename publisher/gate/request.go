package gate

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// Ref names an object in requests and answers.
type Ref struct {
	Kind      events.Kind `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	UID       string      `json:"uid,omitempty"`
}

func refOf(r events.Ref) Ref {
	return Ref{Kind: r.Kind, Namespace: r.Key.Namespace, Name: r.Key.Name, UID: string(r.UID)}
}

// Result is what became of one object.
type Result struct {
	Seq  events.Seq `json:"seq,omitempty"` // of the fact; 0 if nothing changed
	ID   string     `json:"id,omitempty"`  // of the event; empty if nothing changed
	Ref  Ref        `json:"object"`
	What string     `json:"what"` // "daemonset.apps/agent created"
}

// Reply answers a request that was carried out: one result an object, in the
// order of the request.
type Reply struct {
	Results  []Result `json:"results"`
	Warnings []string `json:"warnings,omitempty"`
}

// Seq returns the position of the last fact of the reply, 0 if nothing changed.
func (r Reply) Seq() (last events.Seq) {
	for _, x := range r.Results {
		last = max(last, x.Seq)
	}
	return last
}

// Object names an object of a namespace in a request.
type Object struct {
	Namespace string `json:"namespace,omitempty"` // empty: default
	Name      string `json:"name"`
}

// ApplyRequest applies a manifest.
type ApplyRequest struct {
	Actor     string `json:"actor,omitempty"`
	File      string `json:"file,omitempty"` // what refusals call the manifest
	Manifest  string `json:"manifest"`
	Namespace string `json:"namespace,omitempty"` // of documents that name none; others must agree
}

// DeleteDaemonSetRequest deletes a DaemonSet.
type DeleteDaemonSetRequest struct {
	Actor   string                     `json:"actor,omitempty"`
	Object  Object                     `json:"daemonset"`
	Cascade metav1.DeletionPropagation `json:"cascade,omitempty"` // background (default), foreground or orphan, in any case
}

// DeletePodRequest deletes a pod.
type DeletePodRequest struct {
	Actor  string `json:"actor,omitempty"`
	Object Object `json:"pod"`
}

// UndoRequest puts an earlier revision of a DaemonSet back.
type UndoRequest struct {
	Actor      string `json:"actor,omitempty"`
	Object     Object `json:"daemonset"`
	ToRevision int64  `json:"toRevision,omitempty"` // 0: the one before the newest
}

// RolloutRequest restarts, pauses or resumes the rollout of a DaemonSet.
type RolloutRequest struct {
	Actor  string `json:"actor,omitempty"`
	Object Object `json:"daemonset"`
}

// SetImageRequest sets images of containers of a DaemonSet.
type SetImageRequest struct {
	Actor  string   `json:"actor,omitempty"`
	Object Object   `json:"daemonset"`
	Images []string `json:"images"` // container=image; * for every container
}

// AddNodesRequest adds nodes that are all made from one.
type AddNodesRequest struct {
	Actor string      `json:"actor,omitempty"`
	Node  corev1.Node `json:"node"`            // its name is used if neither names nor a count are given
	Names []string    `json:"names,omitempty"` // one node each
	Count int         `json:"count,omitempty"` // without names: so many, named <node's name>-0001 and on
}

// NodesRequest does one thing to several nodes.
type NodesRequest struct {
	Actor string   `json:"actor,omitempty"`
	Names []string `json:"names"`
	// Changes are k=v and k- for labels, k=v:Effect, k:Effect, k:Effect- and k-
	// for taints; otherwise there are none.
	Changes []string `json:"changes,omitempty"`
}

// refusal is an events.Error as it is sent.
type refusal struct {
	Code  string `json:"code"`
	What  string `json:"what"`
	Where string `json:"where,omitempty"`
	Why   string `json:"why,omitempty"`
	Do    string `json:"do,omitempty"`
	Exit  int    `json:"exit"`
}

// answer is a reply or a refusal as it is sent.
type answer struct {
	*Reply
	Error *refusal `json:"error,omitempty"`
}

// refusalOf returns err as it is sent. An error that is no refusal is one that
// the requester can do nothing about.
func refusalOf(err error) *refusal {
	var e *events.Error
	if !errors.As(err, &e) {
		return &refusal{Code: "E-GATE-FAILED", What: "the request was not carried out", Why: err.Error(),
			Do: "try again", Exit: events.ExitFailure}
	}
	return &refusal{Code: e.Code, What: e.What, Where: e.Where, Why: e.Why, Do: e.Do, Exit: e.Exit}
}

func (r *refusal) err() error {
	return &events.Error{Code: r.Code, What: r.What, Where: r.Where, Why: r.Why, Do: r.Do, Exit: r.Exit}
}

// encodeAnswer returns the bytes of an answer, at most MaxRequestBytes: of more
// results than fit only the last is sent, with a warning.
func encodeAnswer(r Reply, err error) []byte {
	a := answer{Reply: &r}
	if err != nil {
		a = answer{Error: refusalOf(err)}
	}
	data := mustMarshal(a)
	if n := len(r.Results); len(data) > MaxRequestBytes && n > 1 {
		data = mustMarshal(answer{Reply: &Reply{Results: r.Results[n-1:],
			Warnings: []string{fmt.Sprintf("%d results are not listed: the answer would be too long", n-1)}}})
	}
	return data
}

func mustMarshal(a answer) []byte {
	data, err := json.Marshal(a)
	if err != nil {
		panic("an answer of strings and numbers is not JSON: " + err.Error())
	}
	return data
}
