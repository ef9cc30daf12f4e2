package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

func TestNearest(t *testing.T) {
	names := []string{"node-0012", "node-0021", "worker", "node-0011"}
	for want, near := range map[string]string{"node-012": "[node-0012 node-0011]", "wroker": "[worker]", "zzzzzz": "[]", "NODE-0021": "[node-0021 node-0011]"} {
		if got := fmt.Sprint(events.Nearest(want, names, 2)); got != near {
			t.Errorf("%s: %s, want %s", want, got, near)
		}
	}
}

// What an annotation takes is read, and what it does not take says nothing and
// is refused.
func TestAnnotations(t *testing.T) {
	base := events.ReadSettings(nil, events.BudgetDefault)
	if base.Budget != events.BudgetDefault || base.Deadline != 10*time.Minute || base.Paused || base.Partition != nil {
		t.Errorf("without annotations: %+v", base)
	}
	for key, c := range map[string]struct {
		good, bad []string
		takes     string
	}{
		events.AnnotationBudget:      {[]string{"strict", "upstream"}, []string{"", "lax", "Strict"}, "default, strict or upstream"},
		events.AnnotationPaused:      {[]string{"true"}, []string{"", "yes", "True", "1"}, "true or false"},
		events.AnnotationSuspend:     {[]string{"true"}, []string{"", "yes"}, "true or false"},
		events.AnnotationPartition:   {[]string{"0", "2", "20%", "100%"}, []string{"", "banana", "-1", "101%", "%", "2.5"}, "a whole number of nodes or a percentage, such as 2 or 20%"},
		events.AnnotationDeadline:    {[]string{"1", "60"}, []string{"", "0", "-1", "1m", "99999999999"}, "a whole number of seconds above 0, such as 600"},
		events.AnnotationRate:        {[]string{"1", "10"}, []string{"", "-1", "1/s"}, "a whole number of 0 or more"},
		events.AnnotationUnreachable: {[]string{"1", "10"}, []string{"", "-1", "20%"}, "a whole number of 0 or more"},
		events.AnnotationRollout: {[]string{`{"maxUnavailable":1}`, `{"maxUnavailable":"10%"}`, `{"maxUnavailable":"100%"}`},
			[]string{"", "1", "10%", `{}`, `{"maxUnavailable":0}`, `{"maxUnavailable":"0%"}`, `{"maxUnavailable":"101%"}`, `{"maxUnavailable":"3"}`, `{"maxUnavailable":-1}`, `{"maxUnavailable":1} x`, `{"maxSurge":1}`, `{"MaxUnavailable":1}`, `{"maxUnavailable":1,"speed":9}`, `{"maxUnavailable":1.5}`, `null`, `[]`}, "what maxUnavailable is, such as"},
		events.AnnotationCanary: {[]string{"canary=true", "a in (b, c)", "!x"}, []string{"a=b=c", "in (a)"}, "a label selector, such as canary=true"},
	} {
		for _, v := range c.good {
			has := map[string]string{key: v}
			if bad := events.CheckAnnotations(events.DaemonSet, nil, has); bad != nil {
				t.Errorf("%s=%s is refused: %v", key, v, bad)
			}
			if fmt.Sprint(events.ReadSettings(has, events.BudgetDefault)) == fmt.Sprint(base) {
				t.Errorf("%s=%s says nothing", key, v)
			}
		}
		for _, v := range c.bad {
			has := map[string]string{key: v}
			bad := events.CheckAnnotations(events.DaemonSet, nil, has)
			if len(bad) != 1 || bad[0].Key != key || bad[0].Value != v || bad[0].Unknown || !strings.Contains(bad[0].Why, c.takes) {
				t.Errorf("%s=%s: %+v, want it to say %q", key, v, bad, c.takes)
			}
			if fmt.Sprint(events.ReadSettings(has, events.BudgetDefault)) != fmt.Sprint(base) {
				t.Errorf("%s=%s says something", key, v)
			}
		}
	}
}

// Only annotations that change are looked at, and only of the kinds that have some.
func TestCheckAnnotations(t *testing.T) {
	had := map[string]string{"rollcall/partition": "banana", "rollcall/bogus": "1"}
	for name, c := range map[string]struct {
		kind events.Kind
		now  map[string]string
		want string
	}{
		"as it was":         {events.DaemonSet, map[string]string{"rollcall/partition": "banana", "rollcall/bogus": "1", "a": "b"}, ""},
		"repaired":          {events.DaemonSet, map[string]string{"rollcall/partition": "1"}, ""},
		"removed":           {events.DaemonSet, nil, ""},
		"otherwise bad":     {events.DaemonSet, map[string]string{"rollcall/partition": "apple"}, "rollcall/partition=apple takes"},
		"unknown":           {events.DaemonSet, map[string]string{"rollcall/bogus": "2"}, "rollcall/bogus=2 no DaemonSet has such an annotation: there is rollcall/budget, "},
		"misspelt":          {events.DaemonSet, map[string]string{"rollcall/partion": "2"}, "did you mean rollcall/partition?"},
		"of a node":         {events.DaemonSet, map[string]string{"rollcall/fail": "true"}, "no DaemonSet has such an annotation"},
		"of a DaemonSet":    {events.Node, map[string]string{"rollcall/paused": "true"}, "no Node has such an annotation: there is rollcall/fail"},
		"a node fails":      {events.Node, map[string]string{"rollcall/fail": "true"}, ""},
		"a node fails well": {events.Node, map[string]string{"rollcall/fail": "very"}, "rollcall/fail=very takes true or false"},
		"of a pod":          {events.Pod, map[string]string{"rollcall/paused": "true"}, ""},
	} {
		got := ""
		for _, b := range events.CheckAnnotations(c.kind, had, c.now) {
			got += b.Key + "=" + b.Value + " " + b.Why
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
