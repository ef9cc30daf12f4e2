package gate

import (
	"context"
	"fmt"
	"strconv"

	"rollcall/events"
	"rollcall/publisher/manifest"
)

// Apply makes the objects of a manifest so: each is created or replaced, or
// left if it is so already. All documents are checked against the state
// first; if one is refused, none is applied. Up to 500 changes are then
// appended as one; more are split, and a warning says so.
//
// The fence of a manifest with several documents is that of its first object
// which exists already. The others are written over what another writer may
// have written in the same moment, such as a status, which is then written
// again by who owns it.
func (g *Gate) Apply(ctx context.Context, r ApplyRequest) (Reply, error) {
	// Refused before anything is read of the state, and parsed again for each
	// decision: completing a document consumes it.
	if _, err := manifest.Parse(r.File, []byte(r.Manifest)); err != nil {
		return Reply{}, err
	}
	var warnings []string
	results, err := g.write(ctx, r.Actor, func(s Objects) (changes []change, err error) {
		changes, warnings, err = g.decideApply(s, r)
		return changes, err
	})
	if err != nil {
		return Reply{}, err
	}
	if n := countChanges(results); n > maxBatch {
		warnings = append(warnings, fmt.Sprintf("%d changes were appended in parts of %d, not as one", n, maxBatch))
	}
	return Reply{Results: results, Warnings: warnings}, nil
}

func countChanges(results []Result) (n int) {
	for _, r := range results {
		if r.Seq != 0 {
			n++
		}
	}
	return n
}

func (g *Gate) decideApply(s Objects, r ApplyRequest) (changes []change, warnings []string, err error) {
	docs, err := manifest.Parse(r.File, []byte(r.Manifest))
	if err != nil {
		return nil, nil, err
	}
	seen := map[events.Ref]int{}
	for i := range docs {
		d := &docs[i]
		if err := d.InNamespace(r.Namespace); err != nil {
			return nil, nil, err
		}
		ref := events.RefFor(d.Kind, d.Object)
		ref.UID = ""
		if first, twice := seen[ref]; twice {
			return nil, nil, &events.Error{Code: "E-MAN-DOC", What: named(d.Kind, d.Object.GetName(), "is in the file twice"),
				Where: fmt.Sprintf("%s: document %d of %d", d.File, d.Index, d.Count), Why: fmt.Sprintf("document %d holds it too", first),
				Do: "remove one of the two", Exit: events.ExitInput}
		}
		seen[ref] = d.Index
		c, err := g.applyDocument(s, d)
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, c)
		warnings = append(warnings, d.Warnings...)
	}
	return changes, warnings, nil
}

func (g *Gate) applyDocument(s Objects, d *manifest.Document) (change, error) {
	o := d.Object
	name := o.GetName()
	found, last, ok := s.Object(d.Kind, events.Key{Namespace: o.GetNamespace(), Name: name})
	if !ok {
		manifest.PrepareCreate(o, manifest.Stamp{UID: g.newUID(), Now: g.clock()})
		if err := d.Check(nil); err != nil {
			return change{}, err
		}
		return change{kind: d.Kind, verb: events.VerbCreated, now: o, what: named(d.Kind, name, "created")}, nil
	}
	old := manifest.New(d.Kind)
	if err := found.Decode(old); err != nil {
		return change{}, err
	}
	if err := precondition(d, old, last); err != nil {
		return change{}, err
	}
	changed := manifest.PrepareUpdate(o, old)
	if err := d.Check(old); err != nil {
		return change{}, err
	}
	if !changed {
		return nothing(d.Kind, old, named(d.Kind, name, "unchanged")), nil
	}
	return change{kind: d.Kind, verb: events.VerbUpdated, now: o, last: last, what: named(d.Kind, name, "configured")}, nil
}

// precondition refuses a document that was read from an object which is no
// longer so: one that names another uid, or an older resourceVersion.
func precondition(d *manifest.Document, old manifest.Object, last events.Seq) error {
	e := &events.Error{Code: "E-GATE-CONFLICT", Where: fmt.Sprintf("%s: document %d of %d", d.File, d.Index, d.Count), Exit: events.ExitInput}
	version := d.Object.GetResourceVersion()
	switch uid := d.Object.GetUID(); {
	case uid != "" && uid != old.GetUID():
		e.What, e.Why = named(d.Kind, old.GetName(), "was created anew"), fmt.Sprintf("the manifest names uid %s, it has %s", uid, old.GetUID())
		e.Do = "remove metadata.uid from the manifest"
	case version != "" && version != strconv.FormatUint(uint64(last), 10):
		e.What, e.Why = named(d.Kind, old.GetName(), "has changed"), fmt.Sprintf("the manifest was read at %s, it is at %d", version, last)
		e.Do = "read it again, or remove metadata.resourceVersion from the manifest"
	default:
		return nil
	}
	return e
}
