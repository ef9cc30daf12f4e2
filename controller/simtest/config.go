package simtest

import "math/rand/v2"

// faultKind is one kind of trouble that a history may have.
type faultKind int

const (
	faultAckLost faultKind = iota
	faultAppendLost
	faultRefused
	faultLag
	faultPause
	faultRestart
	faultTwins // two controllers
	faultCrew  // two executors
	faultLate  // commands are carried out late and out of order
	faultSkew  // a controller's clock is ahead
	faultJump  // long silences
	faultChurn // nodes go and come back under their names
	faultTaints
	faultLabels
	faultDown // nodes are lost and found again
	faultFlap
	faultFail
	faultStuck  // pods that stay terminating
	faultQuota  // creates are refused for a while
	faultHands  // pods made, deleted and relabelled by hand
	faultDelete // DaemonSets deleted and made again
	faultSettings
	faultStrategy
	faultBadImage
	faultClock // the log's clock is put back, or its leader is behind for a while
	faultForge // somebody else writes the log: copies, and what cannot be
	faultHolds // rollouts are held from outside; drawn from a stream of its own
)

// config is what one history is made of: a random part of all kinds of trouble
// (swarm testing), since a mixture of everything hides what needs one to be absent.
type config struct {
	faults                 uint64
	nodes, sets, steps     int
	controllers, executors int
}

func (c *config) has(k faultKind) bool { return c.faults&(1<<k) != 0 }

func newConfig(r *rand.Rand) config {
	c := config{nodes: 1 + r.IntN(8), sets: 1, steps: 200 + r.IntN(500), controllers: 1, executors: 1}
	share := 1 + r.IntN(5) // of 6: some histories are quiet, some are not
	for k := range faultHolds {
		if r.IntN(6) < share {
			c.faults |= 1 << k
		}
	}
	if r.IntN(3) == 0 {
		c.sets = 2
	}
	switch p := r.IntN(60); {
	case p == 0:
		c.nodes = 60
	case p < 10:
		c.nodes += 4
	}
	if c.has(faultTwins) {
		c.controllers = 2
	}
	if c.has(faultCrew) {
		c.executors = 2
	}
	return c
}
