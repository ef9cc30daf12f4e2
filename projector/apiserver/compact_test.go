package apiserver

import (
	"fmt"
	"testing"
	"time"
)

func tablesOf(t *table) map[string]*table { return map[string]*table{"nodes": t} }

// finding M10
//
// TestCompactor: what a busy time leaves behind is forgotten five minutes after
// it, objects are not, and who follows notices nothing.
func TestCompactor(t *testing.T) {
	table := newTable()
	c := &compactor{tables: tablesOf(table)}
	begin := time.Unix(0, 0)
	for i := range 1000 {
		table.put(uint64(i+1), fmt.Sprint("n", i%10), make([]byte, 1000))
	}
	c.step(begin)
	for m := 1; m < 5; m++ {
		c.step(begin.Add(time.Duration(m) * compactEvery))
		if len(table.changes) != 1000 {
			t.Fatalf("after %d minutes %d changes are left", m, len(table.changes))
		}
	}
	table.put(1001, "n1", []byte("new"))
	c.step(begin.Add(historyKept))
	if len(table.changes) != 1 || table.bytes != 1003 || cap(table.changes) > changeBatch {
		t.Errorf("%d changes of %d bytes are left, in room for %d", len(table.changes), table.bytes, cap(table.changes))
	}
	if n, _ := table.stats(); n != 10 {
		t.Errorf("%d objects are left of 10", n)
	}
	if cs, _, _, ok := table.since(1000); !ok || len(cs) != 1 {
		t.Errorf("who has seen all until then gets %d changes, %v", len(cs), ok)
	}
	if _, _, _, ok := table.since(999); ok {
		t.Error("who has not is not told")
	}
	c.step(begin.Add(2 * historyKept))
	c.step(begin.Add(3 * historyKept))
	if len(table.changes) != 0 || len(c.marks) > 2 {
		t.Errorf("%d changes and %d marks are left", len(table.changes), len(c.marks))
	}
}
