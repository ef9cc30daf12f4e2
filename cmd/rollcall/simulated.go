package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"rollcall/docs"
	"rollcall/events"
	"rollcall/events/stream"
	"rollcall/projector/apiserver"
	"rollcall/publisher/simkubelet"
)

// eventsKept is how long core Events are kept that clients have made.
const eventsKept = time.Hour

// apiConfig is what an instance serves: its log, and what is beside the log.
func (in *instance) apiConfig(ctx context.Context) (apiserver.Config, error) {
	c := apiserver.Config{Log: in.log, Subjects: in.subjects, Objects: in.state.Objects(), Tally: in.tally, Logs: logsUntil(time.Now), Notices: simkubelet.Notices, Alive: simkubelet.Heartbeat,
		Health: in.log.Health, Quarantined: in.quarantined, Checks: in.checks(),
		Unattended: unattended(in.options.controls)}
	for _, b := range []struct {
		into *events.KV
		o    stream.KVOptions
	}{
		{&c.Leases, stream.KVOptions{Name: "leases", MemoryStorage: in.options.memory}},
		{&c.Events, stream.KVOptions{Name: "events", MaxAge: eventsKept, MemoryStorage: in.options.memory}},
	} {
		b.o.Replicas, b.o.Health = in.log.Replicas(), in.log.Health
		bucket, err := stream.OpenKV(ctx, in.nc, in.subjects, b.o)
		if err != nil {
			return c, fmt.Errorf("open what is beside the log: %w", err)
		}
		*b.into = bucket
	}
	return c, nil
}

// simulationTopic is what rollcall help simulation prints.
func (s *session) simulationTopic() *cobra.Command {
	return &cobra.Command{Use: "simulation", Short: "What is simulated, and how it behaves", Long: strings.TrimSpace(docs.Simulation)}
}

// delayFlag reads a delay of what is simulated.
type delayFlag struct {
	*simkubelet.Delay
	name string
}

// Set implements pflag.Value.
func (f delayFlag) Set(text string) error {
	d, err := simkubelet.ParseDelay(text)
	if err != nil {
		return &events.Error{Code: "E-CLI-DURATION", What: err.Error(), Where: "--" + f.name,
			Do: "give a time of at most 24h such as 2s, or two such as 0s..6s, the shorter one first", Exit: events.ExitInput}
	}
	*f.Delay = d
	return nil
}

// Type implements pflag.Value.
func (delayFlag) Type() string { return "duration" }

// logsUntil returns the source of the lines that simulated containers have
// written by now.
func logsUntil(now func() time.Time) apiserver.LogSource {
	return func(pod *corev1.Pod, container string, previous bool) (events.ContainerLog, error) {
		return simkubelet.Logs(pod, container, previous, now())
	}
}
