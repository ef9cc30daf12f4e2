package apiserver

import (
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"rollcall/events"
)

// shown is the server whose figures /metrics tells: the registry is one a
// process, as is the server, but for tests.
var shown atomic.Pointer[Server]

// appendTime is how long writes through the API take until the log has them.
var appendTime = metrics.NewHistogram(&metrics.HistogramOpts{
	Name: "rollcall_log_append_seconds", Help: "Time until the log has said what became of a write through the API.",
	Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, StabilityLevel: metrics.ALPHA})

// registerMetrics puts the figures among those of Kubernetes' server, once.
var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(appendTime)
	legacyregistry.CustomMustRegister(&figures{})
})

// observe makes the server the one whose figures are told.
func (s *Server) observe() {
	registerMetrics()
	shown.Store(s)
}

// figure is one metric that is read when it is asked for.
type figure struct {
	name, help string
	kind       metrics.ValueType
	labels     []string
	read       func(s *Server, tell func(v float64, labels ...string))
}

// ownFigures are all of them but the histogram.
var ownFigures = []figure{
	{"rollcall_log_position", "Position of the last event that the API shows.", metrics.GaugeValue, nil,
		func(s *Server, tell func(float64, ...string)) { tell(float64(s.config.Objects.Position())) }},
	{"rollcall_fold_lag_events", "Events between what the API shows and the end of the log as it was last seen.", metrics.GaugeValue, nil,
		func(s *Server, tell func(float64, ...string)) { behind, _ := s.link.lag(); tell(float64(behind)) }},
	{"rollcall_log_ready", "1 if the log can be read and takes events, else 0.", metrics.GaugeValue, nil,
		func(s *Server, tell func(float64, ...string)) { tell(truth(s.link.ill() == nil)) }},
	{"rollcall_log_full", "1 if the log takes no events because there is no room for them, else 0.", metrics.GaugeValue, nil,
		func(s *Server, tell func(float64, ...string)) { tell(truth(s.link.full())) }},
	{"rollcall_quarantined_events_total", "Events that the fold has set aside, of the whole log.", metrics.CounterValue, nil, tellQuarantine},
	{"rollcall_facts_total", "Events that are neither plans nor ends of commands without a fact, of the whole log.", metrics.CounterValue, []string{"type"},
		func(s *Server, tell func(float64, ...string)) { s.config.Tally.tell(s.config.Tally.facts, 1, tell) }},
	{"rollcall_plans_total", "Plans, of the whole log.", metrics.CounterValue, []string{"type"},
		func(s *Server, tell func(float64, ...string)) { s.config.Tally.tell(s.config.Tally.plans, 1, tell) }},
	{"rollcall_commands_total", "Commands of plans by what they do, and those that no fact has answered by how they ended, of the whole log.",
		metrics.CounterValue, []string{"type", "outcome"},
		func(s *Server, tell func(float64, ...string)) { s.config.Tally.tell(s.config.Tally.commands, 2, tell) }},
	beside("rollcall_commands_pending", "Commands that neither a fact nor a refusal has answered yet.", metrics.GaugeValue),
	beside("rollcall_rollouts", "DaemonSets by how their rollout stands.", metrics.GaugeValue, "state"),
	beside("rollcall_cluster_lag_seconds", "How long ago the log had all that the recorded cluster had; before the first time, how long that is tried.", metrics.GaugeValue),
	beside("rollcall_divergences_total", "What the DaemonSet controller of a recorded cluster did and this program would not have done, and the other way round, as rollcall diverge tells it.", metrics.CounterValue, "class", "rule"),
	{"rollcall_watchers", "Watches and followed logs that are open.", metrics.GaugeValue, nil,
		func(s *Server, tell func(float64, ...string)) { open, _ := s.watches.counts(); tell(float64(open)) }},
	{"rollcall_watchers_refused_total", "Watches and followed logs for which there was no room.", metrics.CounterValue, nil,
		func(s *Server, tell func(float64, ...string)) {
			_, refused := s.watches.counts()
			tell(float64(refused))
		}},
	{"rollcall_connections", "Connections to the API, of clients that have said who they are and of others.", metrics.GaugeValue, []string{"client"},
		func(s *Server, tell func(float64, ...string)) {
			n := s.door.Counts()
			tell(float64(n.Known), "known")
			tell(float64(n.Strangers), "stranger")
		}},
	{"rollcall_connections_ended_total", "Connections that the server has ended: displaced by newer ones, late in saying whose they are, refused because there was no room.",
		metrics.CounterValue, []string{"reason"}, func(s *Server, tell func(float64, ...string)) {
			n := s.door.Counts()
			tell(float64(n.Displaced), "displaced")
			tell(float64(n.Late), "late")
			tell(float64(n.Refused), "refused")
		}},
	beside("rollcall_gate_events_total", "Events that sources have told, by what became of them; late ones are among the accepted.", metrics.CounterValue, "source", "outcome"),
	beside("rollcall_gate_events_open", "Events of a source that are under way.", metrics.GaugeValue, "source"),
	beside("rollcall_gate_answers_total", "Messages with events that were answered.", metrics.CounterValue),
	beside("rollcall_gate_answers_slow_total", "Of these, those that took longer than a quarter of a second.", metrics.CounterValue),
	beside("rollcall_gate_answer_seconds_total", "How long the answers have taken in all.", metrics.CounterValue),
	beside("rollcall_gate_rejects", "What was refused and is kept.", metrics.GaugeValue),
	beside("rollcall_gate_rejects_bytes", "How much room that takes.", metrics.GaugeValue),
	beside("rollcall_gate_rejects_total", "All that was ever refused and kept; what is not kept any more was sent again, dropped, or had to make room.", metrics.CounterValue),
}

// beside is a figure of what is beside the API.
func beside(name, help string, kind metrics.ValueType, labels ...string) figure {
	return figure{name, help, kind, labels, func(s *Server, tell func(float64, ...string)) {
		if s.config.Figures != nil {
			s.config.Figures(name, tell)
		}
	}}
}

func tellQuarantine(s *Server, tell func(float64, ...string)) {
	if s.config.Quarantined != nil {
		tell(float64(s.config.Quarantined().Events))
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// figures collects them from the server that is shown.
type figures struct {
	metrics.BaseStableCollector
	once  sync.Once
	descs []*metrics.Desc
}

func (f *figures) all() []*metrics.Desc {
	f.once.Do(func() {
		for _, o := range ownFigures {
			f.descs = append(f.descs, metrics.NewDesc(o.name, o.help, o.labels, nil, metrics.ALPHA, ""))
		}
	})
	return f.descs
}

// DescribeWithStability implements metrics.StableCollector.
func (f *figures) DescribeWithStability(to chan<- *metrics.Desc) {
	for _, d := range f.all() {
		to <- d
	}
}

// CollectWithStability implements metrics.StableCollector.
func (f *figures) CollectWithStability(to chan<- metrics.Metric) {
	s := shown.Load()
	if s == nil {
		return
	}
	for i, o := range ownFigures {
		o.read(s, func(v float64, labels ...string) {
			to <- metrics.NewLazyConstMetric(f.all()[i], o.kind, v, labels...)
		})
	}
}

// Tally counts what a log says of decisions, for /metrics. Its methods may be
// called from any goroutine.
type Tally struct {
	mu       sync.Mutex
	facts    tally // by type
	plans    tally // by type
	commands tally // by what they do, and how they ended or planned
}

type tally map[[2]string]int

// NewTally returns the counts before the first event of a log.
func NewTally() *Tally { return &Tally{facts: tally{}, plans: tally{}, commands: tally{}} }

// planned is the outcome of a command that has none yet, or a fact for one.
const planned = "planned"

// Follow takes one event of the log.
func (t *Tally) Follow(e events.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch b := e.Body.(type) {
	case *events.Plan:
		t.plans[[2]string{strings.TrimSuffix(string(e.Type), ".planned")}]++
		for _, c := range b.Commands {
			t.commands[[2]string{string(c.Do), planned}]++
		}
	case events.Outcome: // its type tells how it ended: "command.failed"
		t.commands[[2]string{string(b.Command.Do), strings.TrimPrefix(string(e.Type), "command.")}]++
	default:
		t.facts[[2]string{string(e.Type)}]++
	}
}

// tell tells counts by the first of their labels, or by more.
func (t *Tally) tell(counts tally, labels int, tell func(float64, ...string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, n := range counts {
		tell(float64(n), k[:labels]...) // the registry sorts
	}
}
