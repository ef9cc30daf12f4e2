package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEmptyValues gives every flag that takes a text, of every command, a text that is
// empty, as a script does whose variable is not set: it is refused, and is not taken
// for a flag that was not given. No controllers at all is a choice.
func TestEmptyValues(t *testing.T) {
	n := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if c.DisableFlagParsing || mayBeNone(f) || !slices.Contains([]string{"string", "stringArray", "stringSlice"}, f.Value.Type()) {
				return
			}
			n++
			again, _, err := testRoot().Find(strings.Fields(c.CommandPath())[1:])
			if err != nil {
				t.Fatal(err)
			}
			if err = again.ParseFlags([]string{"--" + f.Name + "="}); err == nil { // else it is refused already
				err = refuseEmpty(again, nil)
			}
			if err == nil || !strings.Contains(err.Error(), "--"+f.Name) {
				t.Errorf("%s --%s=: %v", c.CommandPath(), f.Name, err)
			}
		})
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(testRoot())
	if n < 100 {
		t.Errorf("only %d flags were tried", n)
	}
	for want, lines := range map[string][][]string{
		"error: E-CLI-FLAG: --at has no value; give one, or leave it out\n": {{"state", "--at", ""}, {"why", "ds/a", "--at", " "}, {"rollout", "list", "--at="}},
		"error: E-CLI-ARGS: ": {{"why", ""}, {"diff", "1", ""}, {"record", "info", ""}, {"rollout", "receipt", ""}},
	} {
		for _, line := range lines {
			var out, errs bytes.Buffer
			code := run(t.Context(), line, strings.NewReader(""), &out, &errs)
			if code != 2 || out.Len() > 0 || !strings.HasPrefix(errs.String(), want) {
				t.Errorf("rollcall %q: exit code %d, %s%s", line, code, &out, &errs)
			}
		}
	}
}

// TestGivenValues gives every flag of every command values that some flag takes: one
// that is taken is seen as given, whatever type of its own the flag has.
func TestGivenValues(t *testing.T) {
	taken := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			for _, value := range []string{"127.0.0.1:0", "1", "10s", "true", "json", "a=b", "a"} {
				again, _, err := testRoot().Find(strings.Fields(c.CommandPath())[1:])
				if err != nil {
					t.Fatal(err)
				}
				if c.DisableFlagParsing || again.ParseFlags([]string{"--" + f.Name + "=" + value}) != nil {
					continue
				}
				taken++
				if err := refuseEmpty(again, nil); err != nil {
					t.Errorf("%s --%s=%s: %v", c.CommandPath(), f.Name, value, err)
				}
			}
		})
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(testRoot())
	if taken < 500 {
		t.Errorf("only %d values were taken", taken)
	}
}
