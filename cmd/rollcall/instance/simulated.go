package instance

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/apiserver"
	"rollcall/publisher/simkubelet"
)

// eventsKept is how long core Events are kept that clients have made.
const eventsKept = time.Hour

// apiConfig is what an instance serves: its log, and what is beside the log.
func (in *Instance) apiConfig(ctx context.Context) (apiserver.Config, error) {
	if in.Record != nil {
		return in.recordConfig(), nil
	}
	keys, err := in.keys()
	if err != nil {
		return apiserver.Config{}, err
	}
	c := apiserver.Config{Log: in.Log, Subjects: in.Subjects, Objects: in.State.Objects(), Tally: in.tally, Logs: LogsUntil(time.Now), Notices: simkubelet.Notices, Claims: simkubelet.ClaimNotices, Alive: simkubelet.Heartbeat,
		Health: in.Log.Health, Quarantined: in.quarantined, Doubt: projector.Doubt, Ranges: in.Services, Checks: in.checks(),
		Unattended: unattended(in.Controllers), Beside: in.beside, Figures: in.figures, Secrets: keys}
	for _, b := range []struct {
		into *events.KV
		o    stream.KVOptions
	}{
		{&c.Leases, stream.KVOptions{Name: "leases", MemoryStorage: in.Memory}},
		{&c.Events, stream.KVOptions{Name: "events", MaxAge: eventsKept, MemoryStorage: in.Memory}},
	} {
		b.o.Replicas, b.o.Health = in.Log.Replicas(), in.Log.Health
		bucket, err := stream.OpenKV(ctx, in.NC, in.Subjects, b.o)
		if err != nil {
			return c, fmt.Errorf("open what is beside the log: %w", err)
		}
		*b.into = bucket
	}
	return c, nil
}

// LogsUntil returns the source of the lines that simulated containers have
// written by now.
func LogsUntil(now func() time.Time) apiserver.LogSource {
	return func(pod *corev1.Pod, container string, previous bool) (events.ContainerLog, error) {
		return simkubelet.Logs(pod, container, previous, now())
	}
}
