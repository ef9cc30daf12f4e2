package replay

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Picture is a state in words: what decisions read, and the objects, in one order.
// Hash is that of the whole state as bytes.
type Picture struct {
	Seq         events.Seq      `json:"seq"`
	Hash        string          `json:"hash"`
	Chain       string          `json:"chain"` // hash over all events up to there
	Time        time.Time       `json:"time"`  // log time
	Quarantined int             `json:"quarantined,omitempty"`
	Charter     *events.Charter `json:"charter,omitempty"`    // what the log is about; absent: it is the whole of its cluster
	DaemonSets  []SetPicture    `json:"daemonSets,omitempty"` // then those that are deleted and have something left
	Objects     []KindPictures  `json:"objects,omitempty"`    // by kind
}

// SetPicture is a DaemonSet with its cells.
type SetPicture struct {
	events.Ref `json:",inline"`
	Deleted    bool           `json:"deleted,omitempty"`
	Revision   string         `json:"revision,omitempty"` // hash of the present one
	LastPlan   events.Seq     `json:"lastPlan,omitempty"`
	Counts     sets.Counts    `json:"counts"`
	Pods       map[string]int `json:"pods,omitempty"` // by revision
	Creating   int            `json:"creating,omitempty"`
	Refusals   int            `json:"refusals,omitempty"`
	SlowStart  int            `json:"slowStart,omitempty"`
	Progress   time.Time      `json:"progress,omitzero"`
	Held       []events.Held  `json:"held,omitempty"`
	Cells      []CellPicture  `json:"cells,omitempty"` // by node
}

// CellPicture is a DaemonSet on a node.
type CellPicture struct {
	Node     string         `json:"node"`
	NodeUID  types.UID      `json:"nodeUID,omitempty"`
	Place    string         `json:"place"`
	Lost     bool           `json:"lost,omitempty"`
	Withheld bool           `json:"withheld,omitempty"`
	Pods     []PodPicture   `json:"pods,omitempty"`
	Pending  []sets.Pending `json:"pending,omitempty"`
	Attempts int            `json:"attempts,omitempty"`
	Failures int            `json:"failures,omitempty"`
	FailedAt time.Time      `json:"failedAt,omitzero"`
}

// PodPicture is what the fold knows of a pod besides its object.
type PodPicture struct {
	Name       string    `json:"name"`
	UID        types.UID `json:"uid"`
	ReadySince time.Time `json:"readySince,omitzero"`
	Denials    int       `json:"denials,omitempty"`
}

// KindPictures are the objects of a kind, by namespace and name.
type KindPictures struct {
	Kind  events.Kind       `json:"kind"`
	Items []json.RawMessage `json:"items"`
}

// PictureOf returns a state in words.
func PictureOf(s *projector.State) (*Picture, error) {
	at := s.Position()
	raw, err := s.Keyframe()
	if err != nil {
		return nil, err
	}
	quarantined, _ := s.Quarantined()
	p := &Picture{Hash: projector.Hash(raw), Seq: at.Seq, Chain: hex.EncodeToString(at.Chain[:]), Time: s.Time(), Quarantined: quarantined, Charter: s.Charter()}
	for _, kind := range s.Kinds() {
		k := KindPictures{Kind: kind}
		for _, o := range s.List(kind, "") {
			j, err := wire.ToJSON(seal.Hidden(o).Data)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", kind, o.Key, err)
			}
			k.Items = append(k.Items, j)
		}
		if len(k.Items) > 0 {
			p.Objects = append(p.Objects, k)
		}
	}
	for _, ds := range s.AllSets() {
		p.DaemonSets = append(p.DaemonSets, setPicture(s, ds))
	}
	return p, nil
}

func setPicture(s *projector.State, ds *sets.DaemonSet) SetPicture {
	x := SetPicture{Ref: ds.Ref(), Deleted: ds.Deleted, LastPlan: s.LastPlan(ds.Key), Counts: ds.Counts, Pods: ds.Pods, Creating: ds.Creating,
		Refusals: ds.Refusals, SlowStart: ds.SlowStart, Progress: ds.Progress, Held: ds.Held}
	if r := ds.CurrentRevision(); r != nil {
		x.Revision = r.Hash
	}
	for _, c := range ds.AllCells() {
		cell := CellPicture{Node: c.Node, NodeUID: c.NodeUID, Place: c.Place.String(), Lost: c.Lost, Withheld: c.Withheld,
			Pending: c.Pending, Attempts: c.Attempts, Failures: c.Failures, FailedAt: c.FailedAt}
		for _, p := range c.Pods {
			cell.Pods = append(cell.Pods, PodPicture{Name: p.Key.Name, UID: p.UID, ReadySince: p.ReadySince, Denials: p.Denials})
		}
		x.Cells = append(x.Cells, cell)
	}
	return x
}
