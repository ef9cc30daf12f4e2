package scenario_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/events"
)

var (
	conversations = flag.Int("conversations", 100, "random conversations to hold")
	firstSeed     = flag.Uint64("seed", 1, "seed of the first of them")
)

// TestRandomConversations holds conversations that nobody wrote. What is said is
// not looked at; the checks that follow every event and every command are: the
// state is what its objects give, nothing changes a decision without waking or
// having been asked for, a fold from the start decides the same, every plan is
// decided again, and no DaemonSet writes without end.
func TestRandomConversations(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*conversations); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomConversation(t, seed) })
	}
}

func randomConversation(t *testing.T, seed uint64) {
	w := newWorld(t)
	var said []string
	t.Cleanup(func() {
		w.finish()
		if t.Failed() {
			t.Logf("the conversation:\n%s", strings.Join(said, "\n"))
		}
	})
	g := &speaker{w: w, r: rand.New(rand.NewPCG(seed, 0))}
	for range 60 {
		line := g.line()
		if line == "" {
			continue
		}
		said = append(said, line)
		w.where = line
		w.out.Reset()
		w.do(parse(line))
		w.check()
		w.refold(t.Context())
	}
}

// speaker makes up commands that make sense in its world.
type speaker struct {
	w *world
	r *rand.Rand
}

func (g *speaker) one(of ...string) string { return of[g.r.IntN(len(of))] }

// maybe returns s in one of n cases.
func (g *speaker) maybe(n int, s string) string {
	if g.r.IntN(n) > 0 {
		return ""
	}
	return s
}

// line returns a command; "" if what was chosen makes no sense now.
func (g *speaker) line() string {
	switch g.r.IntN(19) {
	case 0, 1:
		return "node " + g.node() + g.maybe(2, " labels="+g.one("", "color=blue", "color=red")) +
			g.maybe(2, " taints="+g.one("", "a:NoSchedule", "a:NoExecute", "a:NoSchedule,b:NoExecute")) + g.maybe(3, " ready="+g.one("true", "false"))
	case 2:
		if n := g.node(); g.w.state.Node(n) != nil {
			return "node " + g.one("delete ", "delete ", "anew ") + n
		}
	case 3, 4:
		ds := g.daemonSet()
		return "ds " + ds + g.options(ds)
	case 5:
		if ds := g.daemonSet(); g.w.state.DaemonSet(key(ds)) != nil && !g.w.state.DaemonSet(key(ds)).Deleting() && g.r.IntN(3) == 0 {
			return "ds delete " + ds + " cascade=" + g.one("background", "foreground", "orphan")
		}
	case 6, 7:
		return g.pod()
	case 8:
		return "pod add x" + fmt.Sprint(g.w.state.Seq()) + " ds=" + g.daemonSet() + " " + g.one("node=", "pin=") + g.node() +
			g.maybe(2, " owner="+g.one("none", "other", "stranger")) + g.maybe(2, " rev="+g.one("A", "B")) + g.maybe(3, " ready=true") +
			g.maybe(4, " deleting=true") + g.maybe(4, " phase="+g.one("Failed", "Succeeded")) + g.maybe(6, " labels=app=other")
	case 9:
		return "time +" + g.one("1ms", "500ms", "1s", "5s", "1m", "20m")
	case 10, 11:
		return "sync agent zulu"
	case 12, 13:
		return "execute" + g.maybe(3, " only="+g.node()) + g.maybe(4, " refuse="+g.one("all", g.node())) + g.maybe(5, " bind=false")
	case 14:
		return "kubelet" + g.maybe(2, " only="+g.node()) + g.maybe(4, " gone")
	case 15:
		return "step " + g.daemonSet()
	case 16:
		return g.revision()
	case 17:
		return "run 3 step=" + g.one("0s", "1s", "30s")
	case 18:
		if len(g.w.rivals) == 0 || g.r.IntN(2) == 0 {
			return "decide " + g.daemonSet() + " as=rival"
		}
		return "append rival"
	}
	return ""
}

// revision deletes, disowns or adds one.
func (g *speaker) revision() string {
	rs := g.w.state.List(events.ControllerRevision, namespace)
	ds := g.daemonSet()
	if g.r.IntN(2) == 0 && g.w.state.DaemonSet(key(ds)) != nil {
		return "revision add r" + fmt.Sprint(g.w.state.Seq()) + " ds=" + ds + " image=" + g.one("v1", "v2") + " number=" + g.one("1", "3", "9") +
			g.maybe(2, " owner="+g.one("none", "dead")) + g.maybe(2, " hash="+g.one("x", "y"))
	}
	if len(rs) == 0 {
		return ""
	}
	return "revision " + g.one("delete ", "disown ") + rs[g.r.IntN(len(rs))].Key.Name
}

func (g *speaker) node() string      { return g.one("n1", "n2", "n3", "n4") }
func (g *speaker) daemonSet() string { return g.one("agent", "agent", "zulu") }

// options change a DaemonSet in some ways.
func (g *speaker) options(ds string) string {
	return g.maybe(2, " image="+g.one("v1", "v2", "v3", "bad", "fail")) +
		g.maybe(3, g.one(" strategy=OnDelete", " maxUnavailable=1", " maxUnavailable=50%", " maxSurge=1", " maxSurge=50%", " maxUnavailable=0")) +
		g.maybe(4, " minReady="+g.one("0", "10")) +
		g.maybe(4, " nodeSelector="+g.one("", "color=blue")) +
		g.maybe(4, " tolerations="+g.one("", "a:NoSchedule", "*")) +
		g.maybe(5, " history="+g.one("0", "1")) +
		g.maybe(6, " selector="+g.one("app="+ds, "{}")) +
		g.maybe(4, " annotate="+g.one("", "rollcall/paused=true", "rollcall/suspend=true", "rollcall/partition=1", "rollcall/budget=strict",
			"rollcall/budget=upstream", "rollcall/max-creates-per-second=1", "rollcall/canary-selector=color=blue", "rollcall/ignore-unreachable=1"))
}

// pod changes one pod or all pods of a node.
func (g *speaker) pod() string {
	pods := slices.Collect(g.w.state.Pods())
	if len(pods) == 0 {
		return ""
	}
	p := pods[g.r.IntN(len(pods))]
	return "pod " + g.w.nameOfPod(p.Key) + " " + g.one("ready", "ready", "unready", "fail", "succeed", "terminate", "gone", "disown", "touch",
		"labels=app=agent", "rev=A", "finalizers=test/keep", "finalizers=")
}
