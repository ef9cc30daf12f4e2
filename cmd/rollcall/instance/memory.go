package instance

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How memory is given back that a burst of work has needed. The runtime keeps
// what it may need again, and collects an idle heap every two minutes only.
const (
	startTime   = 5 * time.Second // until the first look
	startLook   = time.Second     // before that: whether there is work
	memoryLook  = 15 * time.Second
	memoryPause = time.Minute // between two givings back while there is work
	memorySlack = 64 << 20    // is not worth it
	quietAlloc  = 24 << 20    // less in memoryLook is what goes on without any work
)

// How much garbage is allowed for what lives, in percent: more while there is
// work, which it saves a seventh of its processor time.
const (
	quietGarbage = 100
	busyGarbage  = 200
)

// memoryUse is how the heap stands.
type memoryUse struct {
	live      uint64 // after the last collection
	resident  uint64 // held from the system
	allocated uint64 // since the start
}

// giver decides when memory is given back. It has no clock: looks are counted.
type giver struct {
	last  memoryUse // at the last look
	given memoryUse // after the last giving back
	much  bool      // that gave back much
	looks int       // since then
	quiet bool      // there was no work between the last two looks
	busy  bool      // there was some before, or it is the start
}

// wants reports whether it is worth giving memory back now.
func (g *giver) wants(now memoryUse) bool {
	first := g.last == (memoryUse{})
	g.quiet = now.allocated-g.last.allocated < quietAlloc
	g.last = now
	g.looks++
	if first {
		return true // half of what the start has taken is never used again
	}
	if g.quiet {
		// A heap that nobody works on is collected once: what has been allocated
		// since the last time may be garbage, which live does not say.
		// What it did not let go of then, because pools and caches keep it for a
		// while after the work has ended, it does at the next look.
		return g.given == (memoryUse{}) || g.much || now.allocated-g.given.allocated > memorySlack || now.resident > g.given.resident+memorySlack
	}
	return time.Duration(g.looks)*memoryLook >= memoryPause && now.resident > now.live*(100+busyGarbage)/100+memorySlack
}

// gave notes how the heap stands after memory was given back.
func (g *giver) gave(now memoryUse) {
	g.much = g.last.resident > now.resident+memorySlack/4
	g.given, g.last, g.looks = now, now, 0
}

// ended reports whether there was work until the last look, and none since: what of
// the program only that work has used is not needed now.
func (g *giver) ended() bool {
	was := g.busy
	g.busy = !g.quiet
	return was && g.quiet
}

// roomyHeap is how large memory may grow while it is collected when it has
// doubled or tripled. Beyond it half as much garbage as lives is allowed: a
// cluster of 100,000 nodes is 2.5 GB, and is not to take five while it is made.
const roomyHeap = 3904 << 20

// recordHeap is the same for the record of a real cluster, which is one pod of it among
// others: with 5,000 nodes and 50,000 pods 400 MB live when all was listed, and it would be
// 1.3 GB. Collecting more often takes no more of a processor there than a larger heap does.
const recordHeap = 640 << 20

// memoryLimit is the soft limit of the runtime for a heap of which so much lives.
func memoryLimit(live, roomy uint64) int64 { return int64(max(roomy, live+live/2)) }

// roomy is roomyHeap of the instance.
func (in *Instance) roomy() uint64 {
	if in.Record != nil {
		return recordHeap
	}
	return roomyHeap
}

// garbage returns how much of it is allowed now.
func (g *giver) garbage() int {
	if g.quiet {
		return quietGarbage
	}
	return busyGarbage
}

// giveBack gives memory back to the system until ctx is done.
func (in *Instance) giveBack(ctx context.Context) error {
	g := giver{busy: true}
	wait := time.NewTimer(startTime - startLook)
	defer wait.Stop()
	for {
		if os.Getenv("GOMEMLIMIT") == "" {
			debug.SetMemoryLimit(memoryLimit(readMemory().live, in.roomy()))
		}
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(g.garbage())
		}
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil
		}
		if in.Record == nil && g.last == (memoryUse{}) { // what is given back amid work is taken again at once
			g.last = readMemory()
			wait.Reset(startLook)
			continue
		}
		wait.Reset(memoryLook)
		if g.wants(readMemory()) {
			debug.FreeOSMemory()
			g.gave(readMemory())
		}
		if g.ended() {
			releasePages()
		}
	}
}

func readMemory() memoryUse {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return memoryUse{live: s[0].Value.Uint64(), resident: s[1].Value.Uint64() + s[2].Value.Uint64() + s[3].Value.Uint64(), allocated: s[4].Value.Uint64()}
}
