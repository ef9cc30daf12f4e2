package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/apiserver"
	"rollcall/publisher/executor"
)

// Record makes an instance keep the log of a cluster elsewhere: what is decided upon it
// is carried out there, no door is open through which others would tell it anything,
// and its API is read only.
type Record struct {
	Cluster  string         // uid of the namespace kube-system
	Version  string         // of the cluster's server, which the API says it is of
	ReadOnly string         // what is answered to who writes
	World    executor.World // the cluster
	Writer   Writer         // what a controller writes is written there; nil: it writes nothing
	Ready    func() bool    // whether the log has what the cluster has; nil: nothing is decided
	// Heard tells how long ago it was known what had not happened in the cluster; not ok: it
	// never was, for as long as it has been tried.
	Heard  func() (ago time.Duration, ok bool)
	Wake   <-chan struct{} // tells that it may have by now
	Report func(error)     // told of what is tried again; nil: nobody is
	// Diverged tells how many divergences there are, by class and rule; nil: nobody counts.
	Diverged func(tell func(v float64, labels ...string))
}

// Writer is where revisions and statuses become so: it returns the object as it is then.
type Writer interface {
	Write(ctx context.Context, verb string, o metav1.Object) (metav1.Object, error)
}

// desk is a Writer as a controller has it.
type desk struct{ Writer }

// Write implements controller.Writer.
func (d desk) Write(ctx context.Context, w controller.Write) (controller.Write, error) {
	if d.Writer == nil {
		return w, fmt.Errorf("nothing is written to this cluster: %w", events.ErrConflict)
	}
	o, err := d.Writer.Write(ctx, w.Verb, w.Object)
	w.Object = o
	return w, err
}

// The shortest times between two statuses that are written to a cluster, and between two
// rounds of decisions about it, which is heard of in such steps too.
const (
	statusEvery = time.Second
	roundEvery  = 100 * time.Millisecond
)

// heed has parties act upon a record only while it is ready.
func (r *Record) heed(parties []drive.Party) {
	if r == nil || r.Ready == nil {
		return
	}
	for i, p := range parties {
		parties[i] = heedful{p, r.Ready}
	}
}

// decides returns who decides upon a record; of what is none nobody does.
func (in *Instance) decides(state *projector.State) []drive.Party {
	r := in.Record
	if r == nil || r.Ready == nil {
		return nil
	}
	return []drive.Party{controller.New(in.Subjects, state, controller.Options{Writer: desk{r.Writer}, StatusEvery: statusEvery, RoundEvery: roundEvery, Queue: in.queue()})}
}

// reports returns who is told of what is tried again: /readyz, and of a record whoever
// keeps it.
func (in *Instance) reports() func(error) {
	r := in.Record
	if r == nil || r.Report == nil {
		return in.engine.report
	}
	return func(err error) {
		in.engine.report(err)
		r.Report(err)
	}
}

// wakes is Wake of a record; of what is none nothing wakes anybody.
func (r *Record) wakes() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.Wake
}

// where is where commands are carried out.
func (in *Instance) where() executor.World {
	if in.Record != nil {
		return in.Record.World
	}
	return executor.LogWorld{Admit: in.admit}
}

// heedful is a party that wants nothing done while it is not ready.
type heedful struct {
	drive.Party
	ready func() bool
}

// Next implements drive.Party.
func (h heedful) Next() (at time.Time, ok bool) {
	if !h.ready() {
		return time.Time{}, false
	}
	return h.Party.Next()
}

// Due implements drive.Party.
func (h heedful) Due(now time.Time, limit int) []drive.Step {
	if !h.ready() {
		return nil
	}
	return h.Party.Due(now, limit)
}

// checkRecord refuses a log that is about something else than what the instance is for.
func (in *Instance) checkRecord() error {
	var c *events.Charter
	var seq events.Seq
	in.State.Read(func(st *projector.State) { c, seq = st.Charter(), st.Seq() })
	e := &events.Error{Code: "E-KUBE-CLUSTER", Where: in.Data, Exit: events.ExitInput}
	switch r := in.Record; {
	case r == nil && c != nil:
		e.What, e.Do = "the log is the record of another cluster, "+c.Cluster, "go on with it by rollcall connect, or read it with rollcall open"
	case r == nil || c == nil && seq == 0 || c != nil && c.Cluster == r.Cluster:
		return nil
	case c == nil:
		e.What, e.Why, e.Do = "the log is no record of a cluster", "it is a cluster by itself, of rollcall up", "give the record a data directory of its own"
	default:
		e.What, e.Why, e.Do = "the log is the record of another cluster", fmt.Sprintf("it is about %s, and the cluster that is reached is %s", c.Cluster, r.Cluster), "give each cluster a data directory of its own"
	}
	return e
}

// recordConfig is what the API of a record serves: what the log says, and nothing of
// what is simulated.
func (in *Instance) recordConfig() apiserver.Config {
	return apiserver.Config{Log: in.Log, Subjects: in.Subjects, Objects: in.State.Objects(), Tally: in.tally, Leases: memlog.NewKV(), Events: memlog.NewKV(),
		Health: in.Log.Health, Quarantined: in.quarantined, Checks: in.checks(),
		Beside: in.beside, Figures: in.figures, ReadOnly: in.Record.ReadOnly, Version: in.Record.Version, Logs: NoLogs}
}

// checks are those of /readyz that are not the API's own.
func (in *Instance) checks() []apiserver.Check {
	all := []apiserver.Check{{Name: "engine", State: in.engine.alive}, {Name: "keyframes", State: in.keyframesText}}
	if in.Record != nil {
		all = append(all, apiserver.Check{Name: "cluster", State: in.Record.health})
	}
	return all
}

// health is what /readyz says of the cluster. A record that has had all of it once is ready
// as long as it has its log: whether it is behind says rollcall_cluster_lag_seconds, and
// whoever is not there to be asked makes it no better.
func (r *Record) health() (string, error) {
	ago, ok := r.Heard()
	if !ok {
		return "", fmt.Errorf("the log has not had all that the cluster has, for %s: what connect prints says why", ago.Round(time.Second))
	}
	return fmt.Sprintf("heard of %s ago", ago.Round(time.Second)), nil
}

// NoLogs is where the lines of containers are not: they are not recorded.
func NoLogs(*corev1.Pod, string, bool) (events.ContainerLog, error) {
	return events.ContainerLog{}, errors.New("logs of containers are not recorded: ask the cluster itself with its own kubeconfig")
}
