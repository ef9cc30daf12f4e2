package controller

import "rollcall/events"

// Queue is told how a controller works through the names of its DaemonSets, as
// Kubernetes' own controllers go through a queue of theirs. Its methods are called by
// one goroutine, and return at once.
type Queue interface {
	// Add says that a reconcile is wanted; more often says the same until it begins.
	Add(k events.Key)
	// Begin says that a reconcile begins, and Done that what it decided is appended,
	// or that it could not be.
	Begin(k events.Key)
	Done(k events.Key)
	// Retry says, after Done, that it is to be done once more because of an error.
	Retry(k events.Key)
}

// unwatched is the queue of a controller of which nobody asks.
type unwatched struct{}

func (unwatched) Add(events.Key)   {}
func (unwatched) Begin(events.Key) {}
func (unwatched) Done(events.Key)  {}
func (unwatched) Retry(events.Key) {}
