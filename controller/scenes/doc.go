// Package scenes makes the recordings under testdata/recordings: six rollouts,
// by the real controller, executor and simulated kubelets, in played time and
// with ids and delays that follow from a seed. So one build makes the same bytes
// each time:
//
//	go test ./controller/scenes -run TestRecordings -rewrite
//
// writes them anew. Another build may make other events: the recordings stay what
// they are until somebody wants that, since they are what builds are compared with.
//
// Large makes the recording that benchmarks read, of a million events. It is in
// no repository.
package scenes
