package replay_test

import (
	"slices"
	"testing"

	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/projector"
)

// What holds a DaemonSet back may change by the passing of time alone: a pause, a
// hold or a backoff ends, and another rule holds. That is so since the first event
// after that moment, though it has nothing to do with the DaemonSet.
func TestWhyNotAfterTime(t *testing.T) {
	asked := 0
	for _, seed := range []uint64{8, 66, 88, 248, 339} { // histories in which that happens
		log := simtest.Run(seed, simtest.Options{}).Log()
		h, es := open(t, log), all(t, log)
		s, was := projector.New(""), map[events.Key]map[string]bool{}
		for i, e := range es {
			projector.Fold(s, e)
			now := map[events.Key]map[string]bool{}
			for _, ds := range s.AllSets() {
				if ds.Deleted {
					continue
				}
				now[ds.Key] = held(s, ds.Key, "")
				if was[ds.Key] == nil || slices.Contains(s.Touched(), ds.Key) || !more(now[ds.Key], was[ds.Key]) {
					continue
				}
				checkWhyNot(t, h, es[:i+1], ds.Ref(), "")
				asked++
			}
			was = now
		}
	}
	if asked < 5 {
		t.Errorf("%d times time alone has changed something: choose other histories", asked)
	}
}

// more reports whether one set has what another has not.
func more(one, other map[string]bool) bool {
	for x := range one {
		if !other[x] {
			return true
		}
	}
	return false
}
