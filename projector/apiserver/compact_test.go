package apiserver

import (
	"fmt"
	"testing"

	"rollcall/events"
	"rollcall/projector/table"
)

// finding M10
//
// TestCompactor: what a busy time leaves behind is forgotten five minutes after
// it, objects are not, and who follows notices nothing.
func TestCompactor(t *testing.T) {
	nodes := table.NewTable(table.Recent)
	c := &compactor{tables: map[string]*table.Table{"nodes": nodes}}
	put := func(rev uint64, name string) {
		nodes.Put(&table.Item{Object: events.Object{Ref: events.Ref{Key: events.Key{Name: name}}, Data: make([]byte, 1000)}, Rev: rev})
	}
	for i := range 1000 {
		put(uint64(i+1), fmt.Sprint("n", i%10))
	}
	for m := range 5 {
		c.step()
		if oldest := nodes.Oldest(); oldest != 0 {
			t.Fatalf("after %d minutes the changes up to %d are forgotten", m, oldest)
		}
	}
	put(1001, "n1")
	c.step()
	if n, bytes := nodes.Size(); n != 10 || bytes != 10_000 {
		t.Errorf("%d objects of %d bytes are left of 10", n, bytes)
	}
	if cs, _, _, ok := nodes.Since(1000); !ok || len(cs) != 1 {
		t.Errorf("who has seen all until then gets %d changes, %v", len(cs), ok)
	}
	if _, _, _, ok := nodes.Since(999); ok {
		t.Error("who has not is not told")
	}
	for range 2 * historyKept / compactEvery {
		c.step()
	}
	if oldest := nodes.Oldest(); oldest != 1001 || len(c.marks) > 5 {
		t.Errorf("the changes up to %d are forgotten, and %d marks are left", oldest, len(c.marks))
	}
}
