package executor

import (
	"errors"
	"fmt"
	"slices"

	"rollcall/events"
	"rollcall/events/wire"
)

// keepFormat is the version of what Keep writes.
const keepFormat = 1

// kept is what an executor knows that neither an object nor a State says: the
// commands with the plans that they are of, and where what is not believed ends
// the subject of a pod.
type kept struct {
	Format  int               `json:"format"`
	Orders  []keptOrder       `json:"orders,omitempty"` // by cause
	Spoiled []events.KeptPlan `json:"spoiled,omitempty"`
}

type keptOrder struct {
	Cause   events.Cause   `json:"cause"`
	Basis   events.Basis   `json:"basis"`
	Owner   events.Ref     `json:"owner"`
	Command events.Command `json:"command"`
}

// Keep returns what the executor knows besides the objects, for Resume.
func (x *Executor) Keep() ([]byte, error) {
	k := kept{Format: keepFormat, Spoiled: events.KeepPlans(x.fold.spoiled)}
	for _, o := range x.fold.pending {
		k.Orders = append(k.Orders, keptOrder{o.cause, o.basis, o.owner, o.command})
	}
	slices.SortFunc(k.Orders, func(a, b keptOrder) int { return compareCauses(a.Cause, b.Cause) })
	return wire.Marshal(&k)
}

// Resume makes an executor that has observed the objects of a log one that has
// read it up to where Keep was called. under are the commands that are not
// answered there; without any, nothing need be kept.
func (x *Executor) Resume(data []byte, under []events.Cause) error {
	var k kept
	if len(data) > 0 {
		if c := wire.NewCursor(wire.Field(data, "format")); c.Int() != keepFormat || c.Err() != nil {
			return errors.New("the commands under way have a format that this program does not read")
		}
		if err := wire.Unmarshal(data, &k); err != nil {
			return fmt.Errorf("read the commands under way: %w", err)
		}
	}
	var causes []events.Cause
	for _, o := range k.Orders {
		causes = append(causes, o.Cause)
		x.fold.add(&order{cause: o.Cause, basis: o.Basis, owner: o.Owner, command: o.Command})
	}
	if !slices.Equal(causes, under) {
		return fmt.Errorf("%d commands are under way, and %d are kept", len(under), len(causes))
	}
	x.fold.spoiled = events.PlansOf(k.Spoiled)
	return nil
}
