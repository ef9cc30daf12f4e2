// Package scenes makes the recordings under testdata/recordings: six rollouts,
// by the real controller, executor and simulated kubelets, in played time and
// with ids and delays that follow from a seed. So they are the same events each
// time, and a test says when this build would make others:
//
//	go test ./controller/scenes -run TestRecordings -rewrite
//
// writes them anew.
package scenes
