package table_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projector/table"
)

func item(path string, rev uint64, text string) *table.Item {
	return &table.Item{Object: events.Object{Ref: events.Ref{Kind: events.Pod, Key: table.KeyOf(path)}, Data: []byte(text)}, Rev: rev}
}

// lines are rows as text, in their order.
func lines(r table.Rows, prefix, from string) (out []string) {
	r.From(prefix, from, func(i *table.Item) bool {
		out = append(out, fmt.Sprintf("%s@%d=%s", i.Path(), i.Rev, i.Data))
		return true
	})
	return out
}

// TestSnapshotAt changes a table at random beside a model that keeps every
// state, and asks for all of them again, in the order of etcd.
func TestSnapshotAt(t *testing.T) {
	paths := []string{"a/x", "a-b/x", "a/y", "a-b/a", "n", "b/z", "a/x-1", "a.b"}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		tab := table.NewTable(table.History{Changes: 60, Bytes: 1 << 20})
		is, was := map[string]string{}, map[uint64][]string{0: nil}
		last := uint64(0)
		for rev := uint64(1); rev <= 100; rev++ {
			path := paths[r.IntN(len(paths))]
			if r.IntN(4) == 0 {
				if _, there := is[path]; there {
					last = rev
				}
				delete(is, path)
				tab.Delete(rev, table.KeyOf(path))
			} else {
				last, is[path] = rev, fmt.Sprintf("%s@%d=v%d", path, rev, rev)
				tab.Put(item(path, rev, fmt.Sprint("v", rev)))
			}
			for _, p := range slices.Sorted(slices.Values(paths)) {
				if line, ok := is[p]; ok {
					was[rev] = append(was[rev], line)
				}
			}
			if r.IntN(3) > 0 {
				continue
			}
			if rows, at := tab.Snapshot(); !slices.Equal(lines(rows, "", ""), was[rev]) || at != last || rows.Len() != len(is) {
				t.Fatalf("seed %d: at %d %v since %d, want %v since %d", seed, rev, lines(rows, "", ""), at, was[rev], last)
			}
		}
		for rev := range uint64(101) {
			rows, ok := tab.SnapshotAt(rev)
			if ok != (rev >= tab.Oldest()) || ok && !slices.Equal(lines(rows, "", ""), was[rev]) {
				t.Fatalf("seed %d: as of %d, with all since %d: %v, want %v", seed, rev, tab.Oldest(), ok, was[rev])
			}
		}
	}
}

// TestSince follows a table by its changes alone.
func TestSince(t *testing.T) {
	tab := table.NewTable(table.Recent)
	_, wake, _, _ := tab.Since(0)
	for rev := uint64(1); rev <= 1000; rev++ {
		tab.Put(item(fmt.Sprint("a/", rev%7), rev, "v"))
	}
	select {
	case <-wake:
	default:
		t.Error("who waits for a change is not woken")
	}
	copied := map[string]*table.Item{}
	for rev := uint64(0); ; {
		cs, _, _, ok := tab.Since(rev)
		if !ok {
			t.Fatal("changes are forgotten")
		}
		if len(cs) == 0 {
			break
		}
		for _, c := range cs {
			if c.Prev != copied[c.Path()] || c.Rev != rev+1 {
				t.Fatalf("change %d of %s comes after %d", c.Rev, c.Path(), rev)
			}
			copied[c.Path()], rev = c.Now, c.Rev
		}
	}
	if len(copied) != 7 || copied["a/6"] != tab.At("a/6") {
		t.Errorf("the changes make %d objects, want 7", len(copied))
	}
	if rows, _ := tab.Snapshot(); !slices.Equal(lines(rows, "a/", "a/5"), []string{"a/5@999=v", "a/6@1000=v"}) {
		t.Errorf("from a/5 on: %v", lines(rows, "a/", "a/5"))
	}
}

// finding M10
//
// TestForgets bounds what a table remembers by count and by bytes, and lets go
// of what it has forgotten; one without a history remembers nothing.
func TestForgets(t *testing.T) {
	for _, c := range []struct {
		history table.History
		oldest  uint64
	}{
		{table.History{Changes: 100, Bytes: 1 << 20}, 900},
		{table.History{Changes: 1000, Bytes: 10_000}, 995}, // a change holds the new bytes and the old
		{table.History{}, 1000},
	} {
		tab := table.NewTable(c.history)
		for rev := uint64(1); rev <= 1000; rev++ {
			tab.Put(item("n", rev, string(make([]byte, 1000))))
		}
		if tab.Oldest() != c.oldest || tab.Last() != 1000 {
			t.Errorf("%+v: changes after %d up to %d, want after %d", c.history, tab.Oldest(), tab.Last(), c.oldest)
		}
		if _, _, _, ok := tab.Since(c.oldest - 1); ok {
			t.Errorf("%+v: who is too far behind is not told", c.history)
		}
		if n, bytes := tab.Size(); n != 1 || bytes != 1000 {
			t.Errorf("%+v: %d objects of %d bytes", c.history, n, bytes)
		}
	}
}

// TestAwait waits for a position, and is told if it will not come.
func TestAwait(t *testing.T) {
	objects := table.New(table.Recent)
	objects.Take(events.Event{Seq: 1, Stored: time.Unix(9, 0), Body: item("a/x", 1, "v").Object})
	if err := objects.Await(t.Context(), 1); err != nil {
		t.Error(err)
	}
	done := make(chan error)
	go func() { done <- objects.Await(t.Context(), 2) }()
	objects.Take(events.Event{Seq: 2, Body: events.Gone{Ref: item("a/x", 1, "").Ref}})
	if err := <-done; err != nil || objects.Get(events.Pod, table.KeyOf("a/x")) != nil {
		t.Errorf("%v, and the object is there", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := objects.Await(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	go func() { done <- objects.Await(t.Context(), 3) }()
	why := errors.New("the log is gone")
	objects.End(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("got %v, want why there will be no more", err)
	}
	if err := objects.Await(t.Context(), 2); err != nil {
		t.Errorf("what is there is not there after the end: %v", err)
	}
}
