package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/page"
	"rollcall/events"
)

// demoImage is what the DaemonSet of every demo runs at first, without its tag. It is
// on every node already, so that the rollout to look at begins at once.
const demoImage = "registry.example.com/node-agent"

// demoManifest is the DaemonSet of every demo. Like most agents of nodes it
// tolerates everything, so that a node which is lost is still one of its own.
const demoManifest = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-agent, namespace: kube-system, labels: {app: node-agent}}
spec:
  selector: {matchLabels: {app: node-agent}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 5%}}
  template:
    metadata: {labels: {app: node-agent}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: agent, image: "` + demoImage + `:2.3.1"}]
`

// demoFlags are the flags of demo.
type demoFlags struct {
	scene   string
	nodes   int
	seed    int64
	speed   float64
	data    string
	ui      string
	explain bool
}

func (s *session) demoCommand() *cobra.Command {
	var o demoFlags
	names := make([]string, 0, len(scenes))
	for _, x := range scenes {
		names = append(names, x.name)
	}
	c := &cobra.Command{Use: "demo", Short: "Run a cluster in which a rollout goes on, and a page that shows it", Args: takes(0, 0),
		Long: `demo is rollcall up with other defaults: many simulated nodes, a DaemonSet, and somebody
who changes its image while something goes wrong, as --scenario says. It prints a link to
the page, what to look at there and which command answers it, and stays until it is
stopped. --explain prints what it would run, and runs nothing.

The scenarios are ` + strings.Join(names, ", ") + `.`,
		Example: "  rollcall demo --explain\n  rollcall demo --scenario zone-outage --nodes 300"}
	f := c.Flags()
	f.StringVar(&o.scene, "scenario", "clean", "what happens: "+strings.Join(names, ", "))
	f.IntVar(&o.nodes, "nodes", 1000, "simulated nodes")
	f.Int64Var(&o.seed, "seed", 1, "of what is simulated: the same seed gives the same nodes and delays")
	f.Float64Var(&o.speed, "speed", 1, "so many times faster pods start and stop, and things happen")
	f.StringVar(&o.data, "data", "", "directory that keeps the log (default: a temporary one, deleted at the end)")
	f.StringVar(&o.ui, "ui", uiListen, "loopback address of the page")
	f.BoolVar(&o.explain, "explain", false, "print what would be run, and run nothing")
	c.RunE = func(c *cobra.Command, _ []string) error {
		i := slices.IndexFunc(scenes, func(x *scene) bool { return x.name == o.scene })
		if i < 0 {
			return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("there is no scenario %q", o.scene), Where: "--scenario",
				Do: events.Suggest(o.scene, names, "choose from "+strings.Join(names, ", ")), Exit: events.ExitInput}
		}
		if o.speed < 0.1 || o.speed > 100 {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--speed cannot be %g", o.speed), "give 0.1 to 100")
		}
		if o.nodes < 10 {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--nodes cannot be %d", o.nodes), "give 10 or more, so that there is something to see")
		}
		return s.demo(c.Context(), scenes[i], o)
	}
	return c
}

// arguments are those of the up that a demo is.
func (o demoFlags) arguments() []string {
	pause := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) / o.speed).Round(time.Millisecond)
	}
	args := []string{"--nodes", fmt.Sprint(o.nodes), "--seed", fmt.Sprint(o.seed), "--pulled", demoImage + ":2.3.1", "--pod-start", fmt.Sprintf("%s..%s", pause(2*time.Second), pause(9*time.Second)),
		"--pod-stop", fmt.Sprintf("%s..%s", pause(time.Second), pause(3*time.Second)), "--ui", o.ui, "-f", "-"}
	if o.data != "" {
		args = append(args, "--data", o.data)
	}
	return args
}

// demo runs up with the arguments of a demo, and has the scene played in it.
func (s *session) demo(ctx context.Context, x *scene, o demoFlags) error {
	args := o.arguments()
	if o.explain {
		s.out.printf("%s up %s <<'EOF'\n%sEOF\n", self(), strings.Join(args, " "), demoManifest)
		for _, step := range x.steps {
			s.out.printf("# %s later\n%s\n", time.Duration(float64(step.after)/o.speed).Round(time.Millisecond), strings.ReplaceAll(step.as, "rollcall ", self()+" "))
		}
		s.out.printf("\n%s\n", strings.Join(x.say(o.nodes), "\n"))
		return nil
	}
	d := *s
	d.in = strings.NewReader(demoManifest)
	up := d.upCommand(func(u *upOptions) { u.scene, u.speed = x, o.speed })
	up.SetArgs(args)
	up.SilenceErrors, up.SilenceUsage = true, true
	up.SetOut(s.out)
	up.SetErr(s.err)
	return up.ExecuteContext(ctx)
}

// told is what the page says of a scene.
func (x *scene) told(nodes int) *page.Scene {
	if x == nil {
		return nil
	}
	return &page.Scene{Name: x.name, Lines: x.say(nodes)}
}
