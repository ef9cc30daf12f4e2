package instance

import "testing"

const testMB = 1 << 20

// finding M9, finding M10
//
// TestGiver: a heap that has done its work is given back once, one that works
// only when it holds much more than it needs, and an idle one is left alone.
func TestGiver(t *testing.T) {
	var start giver
	if !start.wants(memoryUse{live: 200 * testMB, resident: 600 * testMB, allocated: 1000 * testMB}) {
		t.Error("what the start has taken is not given back")
	}
	start.gave(memoryUse{live: 230 * testMB, resident: 240 * testMB, allocated: 1000 * testMB})
	if !start.wants(memoryUse{live: 230 * testMB, resident: 241 * testMB, allocated: 1001 * testMB}) {
		t.Error("what pools have kept after a start that was all the work is not given back")
	}
	busy := giver{last: memoryUse{allocated: 1000 * testMB}}
	if busy.wants(memoryUse{live: 200 * testMB, resident: 600 * testMB, allocated: 1100 * testMB}) {
		t.Error("what a start that goes on works with is given back")
	}
	if !busy.wants(memoryUse{live: 20 * testMB, resident: 30 * testMB, allocated: 1101 * testMB}) {
		t.Error("what such a start has taken is not given back when it has ended")
	}
	var g giver
	g.gave(memoryUse{live: 50 * testMB, resident: 60 * testMB, allocated: 100 * testMB})
	for i, c := range []struct {
		now  memoryUse
		want bool
		why  string
	}{
		{memoryUse{50 * testMB, 62 * testMB, 101 * testMB}, false, "nothing has happened"},
		{memoryUse{60 * testMB, 110 * testMB, 400 * testMB}, false, "it works, and holds twice of what lives"},
		{memoryUse{600 * testMB, 1200 * testMB, 3000 * testMB}, false, "it works hard"},
		{memoryUse{600 * testMB, 1200 * testMB, 3001 * testMB}, true, "the work has ended"},
	} {
		if got := g.wants(c.now); got != c.want {
			t.Errorf("look %d: %v; %s", i, got, c.why)
		}
		if more := g.garbage() > quietGarbage; more != (i == 1 || i == 2) {
			t.Errorf("look %d: garbage of %d %% is allowed; %s", i, g.garbage(), c.why)
		}
	}
	g.gave(memoryUse{live: 150 * testMB, resident: 200 * testMB, allocated: 3001 * testMB})
	if !g.wants(memoryUse{150 * testMB, 200 * testMB, 3002 * testMB}) {
		t.Error("what pools have kept after the work is not given back")
	}
	g.gave(memoryUse{live: 50 * testMB, resident: 55 * testMB, allocated: 3001 * testMB})
	if !g.wants(memoryUse{50 * testMB, 55 * testMB, 3002 * testMB}) {
		t.Error("it is not looked whether there is still more")
	}
	g.gave(memoryUse{live: 50 * testMB, resident: 55 * testMB, allocated: 3001 * testMB})
	for i := range uint64(100) {
		if g.wants(memoryUse{50 * testMB, (55 + i/4) * testMB, (3001 + i/4) * testMB}) {
			t.Fatalf("idle look %d gives back", i)
		}
	}
	if memoryLimit(100*testMB, roomyHeap) != roomyHeap || memoryLimit(4000*testMB, roomyHeap) != 6000*testMB {
		t.Error("the limit of a small heap, or of a large one, is another")
	}
	gives := 0
	now := memoryUse{50 * testMB, 300 * testMB, 4000 * testMB}
	for range 8 { // two minutes of work over a heap of holes
		now.allocated += 100 * testMB
		if g.wants(now) {
			gives++
			g.gave(now)
		}
	}
	if gives == 0 || gives > 2 {
		t.Errorf("%d givings back in two minutes of work", gives)
	}
}

// TestGiverEnds: what of the program only work has used is let go of once after the
// start, once after each piece of work, and never while there is work.
func TestGiverEnds(t *testing.T) {
	var g giver
	now := memoryUse{live: 50 * testMB, resident: 60 * testMB}
	for i, c := range []struct {
		allocated uint64
		want      bool
	}{{100, false}, {1, true}, {1, false}, {0, false}, {200, false}, {100, false}, {2, true}, {2, false}} {
		now.allocated += c.allocated * testMB
		if g.wants(now) {
			g.gave(now)
		}
		if got := g.ended(); got != c.want {
			t.Errorf("look %d, after %d MB: %v", i, c.allocated, got)
		}
	}
}
