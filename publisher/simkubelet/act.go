package simkubelet

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/publisher/simkubelet/script"
)

// role is what a container is for in its pod.
type role int

// The roles of containers.
const (
	works   role = iota // one of spec.containers
	setsUp              // an init container that has to end well before the next
	assists             // an init container that is restarted always: a sidecar
	debugs              // an ephemeral container
)

// act is what a container does once it runs.
type act struct {
	ready  time.Duration // until it is ready
	after  time.Duration // until it ends; script.Forever: it does not
	code   int32         // how it ends
	ends   bool          // its end is that of its pod, whatever the restart policy says
	absent bool          // its image cannot be pulled
}

// tagged is what the tag of an image says about the containers that run it.
type tagged struct {
	act
	says bool // it says how the container ends; its command is not asked
}

// readTag reads the tag of an image: exit-N, crash-loop, slow-D, non-existent
// and 404 say what becomes of a container.
func readTag(image string) tagged {
	t := tagged{act: act{after: script.Forever}}
	tag := image[strings.LastIndexByte(image, ':')+1:]
	switch tag {
	case "crash-loop":
		t.after, t.code, t.says = 0, 1, true
	case "non-existent", "404":
		t.absent = true
	}
	if rest, ok := strings.CutPrefix(tag, "exit-"); ok {
		if n, err := strconv.ParseUint(rest, 10, 8); err == nil {
			t.after, t.code, t.says, t.ends = 0, int32(n), true, true
		}
	}
	if rest, ok := strings.CutPrefix(tag, "slow-"); ok {
		if d, err := time.ParseDuration(rest); err == nil && d > 0 {
			t.ready = d
		}
	}
	return t
}

// act returns what a container does: as its image's tag says, or its command
// and arguments, or what its role and its restart policy make likely.
func (w *World) act(p *corev1.Pod, c *corev1.Container, r role) act {
	t := readTag(c.Image)
	a := t.act
	if c.ReadinessProbe != nil && r != setsUp {
		a.ready += time.Duration(c.ReadinessProbe.InitialDelaySeconds) * time.Second
	}
	a.ends = a.ends && r == works && policy(p, c, r) == corev1.RestartPolicyAlways
	if t.says {
		return a
	}
	a.after = work(p, c, r, w.options.Run)
	if a.after != script.Forever {
		a.after += a.ready
	}
	if args := arguments(p, c); script.Understood(args) && !attended(c, r) {
		a.after, a.code = w.outcome(script.Program{Args: args, Env: environment(p, c), As: script.IdentityOf(p, c), Work: work(p, c, r, w.options.Run)})
	}
	return a
}

// work returns how long a container runs whose command is not understood.
func work(p *corev1.Pod, c *corev1.Container, r role, run time.Duration) time.Duration {
	switch {
	case attended(c, r), pauses(c):
		return script.Forever
	case r == setsUp:
		return 0
	case r != works || policy(p, c, r) == corev1.RestartPolicyAlways:
		return script.Forever
	}
	return run
}

// pauses reports whether a container runs what the image of that name is for: nothing,
// until it is told to stop.
func pauses(c *corev1.Container) bool {
	name := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name == "pause" && len(c.Command) == 0
}

// attended reports whether a container does what somebody types who is attached
// to it, and ends with that: whoever serves the attachment says so in its status.
func attended(c *corev1.Container, r role) bool { return r == works && c.Stdin && c.StdinOnce }

// policy is the restart policy of a container, rules aside.
func policy(p *corev1.Pod, c *corev1.Container, r role) corev1.RestartPolicy {
	switch {
	case r == debugs:
		return corev1.RestartPolicyNever
	case c.RestartPolicy != nil:
		return corev1.RestartPolicy(*c.RestartPolicy)
	}
	return cmp.Or(p.Spec.RestartPolicy, corev1.RestartPolicyAlways)
}

// restarts reports whether a container is started again after it ended so.
func (s *slot) restarts(p *corev1.Pod, code int32) bool {
	if s.c.RestartPolicy != nil && s.role != debugs {
		for i := range s.c.RestartPolicyRules {
			if rule := &s.c.RestartPolicyRules[i]; rule.Action == corev1.ContainerRestartRuleActionRestart && ruled(rule.ExitCodes, code) {
				return true
			}
		}
	}
	switch policy(p, s.c, s.role) {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return s.role != setsUp || code != 0
}

func ruled(codes *corev1.ContainerRestartRuleOnExitCodes, code int32) bool {
	if codes == nil {
		return false
	}
	in := slices.Contains(codes.Values, code)
	return in == (codes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
}

// outcome returns how a program ends. The answer is remembered, because every
// look at a pod asks for it.
func (w *World) outcome(p script.Program) (time.Duration, int32) {
	if len(p.Args) == 2 && strings.HasSuffix(p.Args[0], "sleep") {
		return p.Outcome() // as fast
	}
	o := remember(w.outcomes, outcomeKey(p), func() (o outcome) {
		o.after, o.code = p.Outcome()
		return o
	})
	return o.after, o.code
}

// outcome is how a program ends.
type outcome struct {
	after time.Duration
	code  int32
}

// maxRemembered bounds each list of answers that are remembered.
const maxRemembered = 4096

// remember returns the answer under a key, which it makes if it is not known.
func remember[T any](known map[string]T, key string, make func() T) T {
	answer, ok := known[key]
	if !ok {
		if len(known) >= maxRemembered {
			clear(known)
		}
		answer = make()
		known[key] = answer
	}
	return answer
}

func outcomeKey(p script.Program) string {
	var b strings.Builder
	for _, a := range p.Args {
		b.WriteString(a + "\x00")
	}
	for k, v := range sorted(p.Env) {
		b.WriteString("\x01" + k + "\x00" + v)
	}
	return b.String() + "\x02" + strconv.FormatInt(int64(p.Work), 10) + p.As.Text("")
}

// arguments are what a container runs: its command, or its arguments if it
// leaves the command to the image, with $(NAME) filled in.
func arguments(p *corev1.Pod, c *corev1.Container) []string {
	if len(c.Command)+len(c.Args) == 0 {
		return nil
	}
	env := environment(p, c)
	var args []string
	for _, a := range append(slices.Clone(c.Command), c.Args...) {
		args = append(args, expandArgument(a, env))
	}
	return args
}

// variables are what an argument refers to variables by, and $$ for a $.
var variables = regexp.MustCompile(`\$\$|\$\([^)]*\)`)

// expandArgument fills in $(NAME); $$(NAME) stands for $(NAME), and what is not
// known stays.
func expandArgument(s string, env map[string]string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	return variables.ReplaceAllStringFunc(s, func(v string) string {
		if v == "$$" {
			return "$"
		}
		if value, ok := env[v[2:len(v)-1]]; ok {
			return value
		}
		return v
	})
}

// environment is what a container sees, but for what comes from other objects.
func environment(p *corev1.Pod, c *corev1.Container) map[string]string {
	env := map[string]string{"HOSTNAME": p.Name}
	for i := range c.Env {
		e := &c.Env[i]
		switch {
		case e.ValueFrom == nil:
			env[e.Name] = expandArgument(e.Value, env)
		case e.ValueFrom.FieldRef != nil:
			env[e.Name] = field(p, e.ValueFrom.FieldRef.FieldPath)
		}
	}
	return env
}

func field(p *corev1.Pod, path string) string {
	if of, key, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		if of == "metadata.labels" {
			return p.Labels[key]
		}
		return p.Annotations[key]
	}
	switch path {
	case "metadata.name":
		return p.Name
	case "metadata.namespace":
		return p.Namespace
	case "metadata.uid":
		return string(p.UID)
	case "spec.nodeName":
		return p.Spec.NodeName
	case "spec.serviceAccountName":
		return p.Spec.ServiceAccountName
	case "status.podIP", "status.podIPs":
		return p.Status.PodIP
	case "status.hostIP", "status.hostIPs":
		return p.Status.HostIP
	}
	return ""
}

// A container that ends and is started again waits 10 s, 20 s and so on from
// the second time on; after so many restarts it stays down, so that a world at
// rest appends nothing. One that ran for long starts afresh.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute // a kubelet's
	longRun      = 2 * lastBackoff // a kubelet forgets the back-off then
	maxRestarts  = 5
	jobRestarts  = 10 // more than a Job's default limit of 6, so that the Job ends before the pod
)

// backoff returns the pause after n restarts.
func backoff(n int32) time.Duration { return min(firstBackoff<<min(max(n-1, 0), 10), lastBackoff) }

// patience is how often a container is restarted.
func patience(p *corev1.Pod) int32 {
	if p.Spec.RestartPolicy == corev1.RestartPolicyOnFailure {
		return jobRestarts
	}
	return maxRestarts
}
