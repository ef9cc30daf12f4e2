package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/docs"
	"rollcall/events"
	"rollcall/publisher/simkubelet"
)

// simulationTopic is what rollcall help simulation prints.
func (s *session) simulationTopic() *cobra.Command {
	return topic("simulation", "What is simulated, and how it behaves", docs.Simulation)
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

// addDelays adds the flags of how long pods take to start and to stop.
func addDelays(f *pflag.FlagSet, o *simkubelet.Options) {
	f.Var(delayFlag{&o.Start, "pod-start"}, "pod-start", "how long a simulated pod takes to start: a time, or two between which each pod draws its own, such as 0s..6s")
	f.Var(delayFlag{&o.Stop, "pod-stop"}, "pod-stop", "how long a simulated pod takes to stop, at most its grace period; as --pod-start")
	f.StringArrayVar(&o.Pulled, "pulled", nil, "image that is on every simulated node already: a pod of such images starts at once; may be given several times")
}
