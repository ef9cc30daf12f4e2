package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/controller/replay"
	"rollcall/events"
)

// takers are the commands that take an instant, by their name and the flag or the
// argument, with what is given besides. {} stands for the instant.
var takers = map[string]string{
	"state --at":           "state --hash --at {}",
	"why --at":             "why ds/nginx-daemonset --at {}",
	"why-not --at":         "why-not ds/nginx-daemonset --at {}",
	"rollout list --at":    "rollout list --at {}",
	"rollout status --at":  "rollout status nginx-daemonset --at {}",
	"rollout chart --at":   "rollout chart ds/nginx-daemonset --out {file}.svg --at {}",
	"top --at":             "top --at {}",
	"effects EVENT":        "effects {}",
	"diff A":               "diff {} now",
	"diff B":               "diff 1 {}",
	"check --from":         "check S1 --from {}",
	"check --to":           "check S1 --to {}",
	"bisect --good":        "bisect S1 --good {}",
	"bisect --bad":         "bisect S1 --bad {}",
	"log --from":           "log --from {}",
	"log --to":             "log --to {}",
	"record export --from": "record export {file} --from {}",
	"record export --to":   "record export {file} --to {}",
	"whatif --from":        "whatif --for 1m --from {}",
	"plan --at":            "plan ds/nginx-daemonset --set maxUnavailable=2 --at {}",
	"search --from":        "search nginx --from {}",
	"search --to":          "search nginx --to {}",
	"replay --from":        "replay --from {}",
	"replay --to":          "replay --to {}",
}

// served take an instant too, and stay until they are stopped or change the log: the
// scripts instants.txt and open.txt ask the one, TestArchive the other.
var served = []string{"open --at", "archive --before"}

// TestInstantsEverywhere: every command that takes an instant takes each form of
// one, of a log whose rollouts are in the default namespace, and says which position
// it took.
func TestInstantsEverywhere(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	data := filepath.Join(t.TempDir(), "d")
	do := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), &out, &errs)
		return out.String(), errs.String(), code
	}
	if _, errs, code := do("up", "--once", "--data", data, "--nodes", "3", "-f", "example:nginx"); code != 0 {
		t.Fatal(errs)
	}
	forms := instantForms(t, data, do)
	for name, line := range takers {
		t.Run(name, func(t *testing.T) {
			for form, at := range forms {
				if form == "now" && slices.Contains([]string{"log --from", "record export --from"}, name) {
					continue // nothing is there
				}
				args := []string{"--data", data}
				for _, word := range slices.Backward(strings.Fields(line)) {
					word = strings.ReplaceAll(word, "{file}", filepath.Join(t.TempDir(), "r.rollcall"))
					args = append([]string{strings.ReplaceAll(word, "{}", form)}, args...)
				}
				out, errs, code := do(args...)
				if code > 1 || errs != "" {
					t.Errorf("%q: exit code %d: %s", args, code, errs)
				}
				if want := fmt.Sprintf("at #%d (", at); strings.HasSuffix(name, "--at") && !strings.Contains(out, want) {
					t.Errorf("%q does not say %q:\n%s", args, want, out)
				}
			}
		})
	}
}

// instantForms returns every form of an instant, with the position that it is of.
func instantForms(t *testing.T, data string, do func(...string) (string, string, int)) map[string]events.Seq {
	t.Helper()
	var list struct {
		Coverage replay.Span
		Items    []*replay.Rollout
	}
	out, errs, _ := do("rollout", "list", "--data", data, "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) != 1 || len(list.Items[0].Waves) == 0 {
		t.Fatal(err, out, errs)
	}
	r := list.Items[0]
	start, end, wave := r.Start, r.End, r.Waves[0]
	line, _, _ := do("log", "--data", data, "-o", "jsonl", "--from", fmt.Sprint(wave.Seq), "--to", fmt.Sprint(wave.Seq))
	var event struct{ ID string }
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&event); err != nil {
		t.Fatal(err, line)
	}
	stored := wave.Time.UTC()
	return map[string]events.Seq{
		fmt.Sprint(wave.Seq):                       wave.Seq,
		fmt.Sprintf("#%d", wave.Seq):               wave.Seq,
		"@" + event.ID:                             wave.Seq,
		stored.Format(time.RFC3339Nano):            wave.Seq,
		"now":                                      list.Coverage.Last,
		"-1ns":                                     list.Coverage.Last - 1,
		"rollout/nginx-daemonset#1:start":          start.Seq,
		"rollout/default/nginx-daemonset#1:end":    end.Seq,
		"rollout/default/nginx-daemonset#1:wave:1": wave.Seq,
	}
}

// TestTakers: no command takes an instant that TestInstantsEverywhere does not give
// it.
func TestTakers(t *testing.T) {
	known := append(slices.Collect(maps.Keys(takers)), served...)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := strings.TrimPrefix(c.CommandPath(), "rollcall ") + " --" + f.Name
			if strings.Contains(f.Usage, "instant") && f.Value.Type() == "string" && !slices.Contains(known, name) {
				t.Errorf("%s takes an instant", name)
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&session{out: newOutput(new(bytes.Buffer), func(error) {}), err: new(bytes.Buffer)}).root())
}
