package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage is allowed while a log is read, in percent of what lives: events
// are garbage as soon as they are folded, and with the usual percentage a log of a
// small cluster is read in a quarter more time. Of a large one no more is allowed
// than usual.
const (
	usualGarbage = 100
	readGarbage  = 400
	garbageRoom  = 512 << 20 // at most, beyond the usual
	garbageLook  = 250 * time.Millisecond
)

// garbageFor returns how much garbage is allowed beside so much that lives.
func garbageFor(live uint64) int {
	return int(max(usualGarbage, min(readGarbage, garbageRoom*100/max(live, 1))))
}

// allowGarbage allows more garbage until the function that it returns is called.
func allowGarbage() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(readGarbage)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		look := time.NewTicker(garbageLook)
		defer look.Stop()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for {
			select {
			case <-look.C:
				metrics.Read(live)
				debug.SetGCPercent(garbageFor(live[0].Value.Uint64()))
			case <-stop:
				debug.SetGCPercent(before)
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}
