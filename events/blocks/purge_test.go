package blocks_test

import (
	"errors"
	"fmt"
	"testing"

	"rollcall/events"
	"rollcall/events/blocks/blockstest"
)

// TestPurged reads logs whose beginning was purged, once or twice, in a block and
// over blocks: what is left is read as it was, if such a beginning is known of; and
// else it is a gap.
func TestPurged(t *testing.T) {
	for _, sh := range []blockstest.Shape{
		{Events: 40, Purged: []int{10}},
		{Events: 40, Purged: []int{5, 20}},
		{Events: 40, Purged: []int{20}, Killed: true},
		{Events: 40, Purged: []int{21}},
		{Events: 130, Many: true, Purged: []int{11, 50}},
		{Events: 130, Many: true, Purged: []int{11, 50, 60}, Killed: true},
		{Events: 130, Many: true, Purged: []int{66}},
		{Events: 130, Many: true, Purged: []int{30, 65}, Compressed: true, Killed: true},
	} {
		t.Run(fmt.Sprintf("%+v", sh), func(t *testing.T) {
			l := blockstest.Write(t, sh)
			first := events.Seq(sh.Purged[len(sh.Purged)-1])
			var e *events.Error
			if _, err := mustOpen(t, l.Data).Check(t.Context(), nil); !errors.As(err, &e) || e.Code != "E-LOG-GAP" {
				t.Errorf("nobody knows that it begins later: %v, want E-LOG-GAP", err)
			}
			s := mustOpen(t, l.Data)
			s.Archived = first - 1
			if _, err := s.Check(t.Context(), nil); !errors.As(err, &e) || e.Code != "E-LOG-GAP" {
				t.Errorf("it begins later than is known: %v, want E-LOG-GAP", err)
			}
			s = mustOpen(t, l.Data)
			s.Archived = first
			rep, err := s.Check(t.Context(), nil)
			if err != nil || rep.Before != first-1 || rep.Last != events.Seq(sh.Events) {
				t.Fatalf("%+v, %v", rep, err)
			}
			at := first - 1
			for e, err := range s.Read(t.Context(), at) {
				if err != nil || e.Seq != at+1 || !same(e, l.Events[e.Seq-1]) {
					t.Fatalf("after #%d comes #%d, %v", at, e.Seq, err)
				}
				at = e.Seq
			}
			if at != rep.Last {
				t.Errorf("read up to #%d", at)
			}
			for _, err := range s.Read(t.Context(), first-2) {
				if !errors.As(err, &e) || e.Code != "E-LOG-GAP" {
					t.Errorf("what is purged is read: %v", err)
				}
			}
		})
	}
}
