package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/files"
)

// planKind and planFormat are the kind of a plan's file, and the one version of it
// that this build reads.
const (
	planKind   = "RolloutPlan"
	planFormat = 1
)

// planFile is a plan as it is kept.
type planFile struct {
	Kind    string        `json:"kind"`
	Format  int           `json:"format"`
	Program string        `json:"program"` // version of what has made it
	Cluster string        `json:"cluster"`
	Log     string        `json:"log"` // id of the log
	At      replay.Point  `json:"at"`  // what it was planned from
	Chain   string        `json:"chain"`
	Objects []planObject  `json:"objects"`
	Left    []string      `json:"left,omitempty"` // Secrets of the manifests: their values are not written down
	Outcome []*planned    `json:"outcome"`        // for people: rollout apply finds it again
	SHA256  string        `json:"sha256"`         // of the file with this empty
	intents []play.Intent // of Objects
}

// planObject is an object that is to be written.
type planObject struct {
	Change  map[string]any `json:"change"`            // that is sent
	Partial bool           `json:"partial,omitempty"` // Change is merged into the object, else applied
	Before  map[string]any `json:"before,omitempty"`  // as it was
	After   map[string]any `json:"after"`             // as the server says that it is to be
}

// sum returns the SHA-256 of the file, as it is with its own left empty.
func (p planFile) sum() (string, error) {
	p.SHA256 = ""
	data, err := json.Marshal(p)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// writePlan writes a plan down.
func (s *session) writePlan(ctx context.Context, x *asked, cluster string, r rehearsal, all []*planned, path string) error {
	info, err := x.log.Info(ctx)
	if err != nil {
		return err
	}
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return err
	}
	version, _ := built()
	p := planFile{Kind: planKind, Format: planFormat, Program: version, Cluster: cluster, Log: info.ID, At: x.at.Point,
		Chain: fmt.Sprintf("%x", st.Position().Chain), Outcome: all}
	for _, d := range r.docs {
		if d.GetKind() == string(events.Secret) {
			p.Left = append(p.Left, "secret "+d.GetNamespace()+"/"+d.GetName())
			continue
		}
		p.Objects = append(p.Objects, planObject{Change: d.Object, Partial: d.Partial(), Before: d.Before, After: d.After})
	}
	if p.SHA256, err = p.sum(); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = files.Replace(path, append(data, '\n'))
	}
	if err != nil {
		return &events.Error{Code: "E-CLI-FILE", What: "the plan cannot be written", Where: path, Why: files.Reason(err), Exit: events.ExitInput, Err: err}
	}
	s.warnLeft(p)
	return nil
}

// warnLeft tells of the Secrets that are not in the file of a plan.
func (s *session) warnLeft(p planFile) {
	for _, name := range p.Left {
		s.Warn(name + " is not in the plan, whose file would show its values: apply it with rollcall kubectl apply")
	}
}

// readPlan reads a plan that writePlan has written, and nobody else since.
func readPlan(path string) (*planFile, error) {
	bad := func(why, do string) error {
		return &events.Error{Code: "E-PLAN-FILE", What: "the file is no plan that can be carried out", Where: path, Why: why, Do: do, Exit: events.ExitInput}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &events.Error{Code: "E-CLI-FILE", What: "the plan cannot be read", Where: path, Why: files.Reason(err), Exit: events.ExitInput, Err: err}
	}
	const again = "make one with rollcall plan --out"
	var head struct {
		Kind   string `json:"kind"`
		Format int    `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, bad("it is cut off, or no JSON", again)
	}
	switch {
	case head.Kind != planKind:
		return nil, bad("it is none", again)
	case head.Format != planFormat:
		return nil, bad(fmt.Sprintf("it is of format %d, and this build reads %d", head.Format, planFormat), "use the build that has made it, or plan again")
	}
	var p planFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, bad("it was changed since it was planned", again)
	}
	sum, err := p.sum()
	if err != nil || sum != p.SHA256 {
		return nil, bad("it was changed since it was planned", again)
	}
	for i := range p.Objects {
		o := &p.Objects[i]
		for _, tree := range []*map[string]any{&o.Change, &o.Before, &o.After} {
			if err := wholeNumbers(tree); err != nil {
				return nil, bad(err.Error(), again)
			}
		}
		kind := (&unstructured.Unstructured{Object: o.After}).GroupVersionKind()
		intent, err := play.NewIntent(events.KindOf(kind.Group, kind.Kind), o.Before, o.After)
		if err != nil {
			return nil, bad(err.Error(), again)
		}
		p.intents = append(p.intents, intent)
	}
	return &p, nil
}

// wholeNumbers has the whole numbers of a tree be of the type that objects of
// Kubernetes have.
func wholeNumbers(tree *map[string]any) error {
	data, err := json.Marshal(*tree)
	if err != nil {
		return err
	}
	return utiljson.Unmarshal(data, tree)
}
