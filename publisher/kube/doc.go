// Package kube records a real Kubernetes cluster: what its API says of nodes,
// DaemonSets, their pods and revisions becomes facts of a log, with who has made them
// so. It reads the cluster and never writes to it.
//
// Each resource is listed once and then watched, each change one fact: no informer,
// which would keep the last state only. A log that has a record is gone on with where
// it was heard last (Cursors); what the cluster has forgotten by then is listed again,
// and what is missing there told as gone. A heartbeat is no fact (events.Worth).
//
// Promised is that a fact is told once, that those of one object are in its order, and
// that nothing is passed over silently: a fact is told only when those of its kind
// before it are in the log, and where states may be missing a note says so.
//
// fact.go, lane.go, merge.go and cursor.go are pure.
package kube
