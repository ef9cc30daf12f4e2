package replay_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
	"rollcall/projector/story"
)

// held are the rules that hold back a DaemonSet on a node.
func held(s *projector.State, of events.Key, node string) map[string]bool {
	_, trace := controller.Explain(s, of, s.Time())
	rules := map[string]bool{}
	for _, b := range trace.Blockers {
		if node == "" || b.Node == "" || b.Node == node {
			rules[string(b.Rule)+" "+b.Says] = true
		}
	}
	return rules
}

// isDue reports whether something is done to a DaemonSet on a node.
func isDue(s *projector.State, of events.Key, node string) bool {
	r, _ := controller.Explain(s, of, s.Time())
	return r.Plan != nil && slices.ContainsFunc(r.Plan.Commands, func(c events.Command) bool { return node == "" || c.Node == node })
}

// checkHolding asks what holds back a DaemonSet on a node by some rules alone, and by
// one of them.
func checkHolding(t *testing.T, s *projector.State, of events.Key, node string, now map[string]bool) {
	t.Helper()
	rules := []controller.Rule{controller.RuleOnDelete, controller.RuleTaint, controller.RuleMinReady, "budget", "hold", "partition", "paused", "terminating", "backoff", "limit"}
	for _, asked := range [][]controller.Rule{nil, rules, {rules[int(s.Seq())%len(rules)]}} {
		found, _, _ := controller.Holding(s, of, s.Time(), controller.About{Rules: asked, Node: node})
		got := map[string]bool{}
		for _, b := range found {
			got[string(b.Rule)+" "+b.Says] = true
		}
		want := maps.Clone(now)
		maps.DeleteFunc(want, func(held string, _ bool) bool {
			rule, _, _ := strings.Cut(held, " ")
			return asked != nil && !slices.Contains(asked, controller.Rule(rule))
		})
		if !maps.Equal(got, want) || len(found) != len(got) {
			t.Errorf("#%d %s %q: %v hold it back by %v alone, want %v", s.Seq(), of, node, found, asked, want)
		}
	}
}

// TestWhyNot asks at random positions what holds back a node, or a whole
// DaemonSet, and finds a second time, after every event, what held and since when.
func TestWhyNot(t *testing.T) {
	asked, blockers, holds := 0, 0, 0
	for _, seed := range seeds {
		log := simtest.Run(seed, simtest.Options{}).Log()
		h, es := open(t, log), all(t, log)
		random := rand.New(rand.NewPCG(seed, 7))
		for range 25 {
			at := events.Seq(1 + random.IntN(int(h.Span().Last)))
			s, err := h.At(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			live := slices.DeleteFunc(s.AllSets(), func(ds *sets.DaemonSet) bool { return ds.Deleted })
			if len(live) == 0 {
				continue
			}
			of, node := live[random.IntN(len(live))].Ref(), ""
			if nodes := s.List(events.Node, ""); len(nodes) > 0 && random.IntN(3) > 0 {
				node = nodes[random.IntN(len(nodes))].Key.Name
			}
			asked++
			n, held := checkWhyNot(t, h, es[:at], of, node)
			blockers, holds = blockers+n, holds+held
		}
	}
	t.Logf("%d questions, %d blockers, %d of them holds", asked, blockers, holds)
	if blockers < asked/4 || holds == 0 {
		t.Error("hardly anything is held back")
	}
}

// checkWhyNot returns how many blockers there are, and how many of them are holds.
func checkWhyNot(t *testing.T, h *replay.History, es []events.Event, of events.Ref, node string) (n, holds int) {
	t.Helper()
	s, at := projector.New(""), events.Seq(len(es))
	since := map[string]events.Seq{}
	var settled events.Seq // since when nothing is left to do; 0: something is
	for _, e := range es {
		projector.Fold(s, e)
		now := held(s, of.Key, node)
		checkHolding(t, s, of.Key, node, now)
		for rule := range since {
			if !now[rule] {
				delete(since, rule)
			}
		}
		for rule := range now {
			if since[rule] == 0 {
				since[rule] = e.Seq
			}
		}
		switch {
		case len(now) > 0 || isDue(s, of.Key, node):
			settled = 0
		case settled == 0:
			settled = e.Seq
		}
	}
	x, err := h.WhyNot(t.Context(), replay.Moment{Point: replay.Point{Seq: at, Time: s.Time()}, Now: s.Time()}, of, node)
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Blockers) != len(since) {
		t.Errorf("#%d %s %s: %d blockers, want %v", at, of, node, len(x.Blockers), since)
	}
	for _, b := range x.Blockers {
		if b.Rule == controller.Rule(events.HeldHold) {
			id, _, _ := strings.Cut(b.Says, ":")
			owner, name, _ := strings.Cut(id, "/")
			if h := s.Hold(owner, name); b.Placed == nil || b.Placed.Seq != h.Seq || b.Placed.Type != events.HoldPlaced || !b.Until.Equal(h.Until) {
				t.Errorf("#%d %s %q: %s placed by %+v, want %+v", at, of, node, b.Says, b.Placed, h)
			}
			holds++
		}
		want, ok := since[string(b.Rule)+" "+b.Says]
		if !ok || b.Since == nil || b.Since.Seq != want {
			t.Errorf("#%d %s %q: %s since %+v, want #%d", at, of, node, b.Rule, b.Since, want)
		}
	}
	checkUnready(t, s, x)
	if len(x.Blockers)+len(x.Due)+len(x.Unready) == 0 && (x.Since == nil || x.Since.Seq != settled) {
		t.Errorf("#%d %s %q: as it should be since %+v, want #%d", at, of, node, x.Since, settled)
	}
	if len(x.Blockers) > 0 && x.Since != nil {
		t.Errorf("#%d %s %q: held back, and as it should be since #%d", at, of, node, x.Since.Seq)
	}
	return len(x.Blockers), holds
}

// checkUnready holds the pods that are told to be not ready against the state.
func checkUnready(t *testing.T, s *projector.State, x *replay.WhyNot) {
	t.Helper()
	told := map[string]bool{}
	for _, u := range x.Unready {
		if u.Reason == "" || len(u.Pods) == 0 {
			t.Errorf("#%d %s: pods that are not ready: %+v", s.Seq(), x.DaemonSet, u)
		}
		for _, p := range u.Pods {
			told[p.Pod] = true
			if p.Last == nil || p.Last.Object != p.Pod || x.Node != "" && p.Node != x.Node {
				t.Errorf("#%d %s %q: %+v, the last of it %+v", s.Seq(), x.DaemonSet, x.Node, p, p.Last)
			}
		}
	}
	for _, ds := range s.AllSets() {
		if ds.Deleted || story.Name(ds.Ref()) != x.DaemonSet {
			continue
		}
		for _, c := range ds.AllCells() {
			for _, p := range c.Pods {
				want := c.Place != sets.Evict && (x.Node == "" || c.Node == x.Node) && !p.Ready && !p.Deleting && !p.Terminal()
				if name := story.Name(p.Ref()); told[name] != want {
					t.Errorf("#%d %s %q: %s is told to be not ready: %v", s.Seq(), x.DaemonSet, x.Node, name, !want)
				}
			}
		}
	}
	if len(x.Unready) > 0 && x.Since != nil {
		t.Errorf("#%d %s: not ready, and as it should be since #%d", s.Seq(), x.DaemonSet, x.Since.Seq)
	}
}
