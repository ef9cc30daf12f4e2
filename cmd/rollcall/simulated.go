package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/stream"
	"rollcall/projector/apiserver"
	"rollcall/publisher/simkubelet"
)

// eventsKept is how long core Events are kept that clients have made.
const eventsKept = time.Hour

// apiConfig is what an instance serves: its log, and what is beside the log.
func (in *instance) apiConfig(ctx context.Context) (apiserver.Config, error) {
	c := apiserver.Config{Log: in.log, Subjects: in.subjects, Feed: in.feed, Logs: logsUntil(time.Now), Notices: podNotices, Alive: simkubelet.Heartbeat,
		Unattended: unattended(in.options.controls)}
	for _, b := range []struct {
		into *events.Board
		o    stream.BoardOptions
	}{
		{&c.Leases, stream.BoardOptions{Name: "leases", MemoryStorage: in.options.memory}},
		{&c.Events, stream.BoardOptions{Name: "events", MaxAge: eventsKept, MemoryStorage: in.options.memory}},
	} {
		board, err := stream.OpenBoard(ctx, in.nc, in.subjects, b.o)
		if err != nil {
			return c, fmt.Errorf("open what is beside the log: %w", err)
		}
		*b.into = board
	}
	return c, nil
}

// logsUntil returns the source of the lines that simulated containers have
// written by now.
func logsUntil(now func() time.Time) apiserver.LogSource {
	return func(pod *corev1.Pod, container string, previous bool) ([]apiserver.LogLine, error) {
		lines, err := simkubelet.Logs(pod, container, previous, now())
		var out []apiserver.LogLine
		for _, l := range lines {
			out = append(out, apiserver.LogLine(l))
		}
		return out, err
	}
}

// podNotices are what the simulated scheduler and kubelets tell of pods. Of one
// on another node they know nothing.
func podNotices(old, now *corev1.Pod, node *corev1.Node) []apiserver.Notice {
	if now != nil && now.Spec.NodeName != "" && (node == nil || node.Labels[simkubelet.SimulatedLabel] != "true") {
		return nil
	}
	var out []apiserver.Notice
	for _, n := range simkubelet.Notices(old, now) {
		out = append(out, apiserver.Notice(n))
	}
	return out
}
