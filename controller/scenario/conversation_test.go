package scenario_test

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestReconcile holds what the controller decides.
func TestReconcile(t *testing.T) { converse(t, "../../testdata/reconcile") }

// TestFold holds what the projector makes of a log.
func TestFold(t *testing.T) { converse(t, "../../testdata/fold") }

func converse(t *testing.T, dir string) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if w == nil || w.t != t {
				w = newWorld(t)
				t.Cleanup(w.finish)
			}
			switch d.Cmd {
			case "given", "when", "then":
			default:
				t.Fatalf("%s: unknown block %q", d.Pos, d.Cmd)
			}
			if len(d.CmdArgs) > 0 {
				t.Fatalf("%s: commands belong on lines of their own", d.Pos)
			}
			w.out.Reset()
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				if line == "" || line[0] == '#' {
					continue
				}
				w.where = d.Pos + ": " + line
				w.do(parse(line))
				w.check()
				if w.state.Seq() <= shortLog {
					w.refold(t.Context())
				}
			}
			if d.Cmd == "given" && w.out.Len() > 0 {
				t.Fatalf("%s: a given is silent, and this says:\n%s", d.Pos, w.out.String())
			}
			return w.out.String()
		})
	})
}

// command is one line: a verb, words, and options.
type command struct {
	verb  string
	words []string
	opts  []option
}

type option struct{ key, value string }

// opt returns the value of an option, or "".
func (c *command) opt(key string) string {
	for _, o := range c.opts {
		if o.key == key {
			return o.value
		}
	}
	return ""
}

func (c *command) has(key string) bool {
	for _, o := range c.opts {
		if o.key == key {
			return true
		}
	}
	return false
}

// word returns the i-th word, or "".
func (c *command) word(i int) string {
	if i < len(c.words) {
		return c.words[i]
	}
	return ""
}

func parse(line string) *command {
	c := &command{}
	for i, f := range strings.Fields(line) {
		k, v, isOption := strings.Cut(f, "=")
		switch {
		case i == 0:
			c.verb = f
		case isOption:
			c.opts = append(c.opts, option{k, v})
		default:
			c.words = append(c.words, f)
		}
	}
	return c
}

// do carries out one line.
func (w *world) do(c *command) {
	verbs := map[string]func(*command){
		"time": w.doTime, "node": w.doNode, "ds": w.doDaemonSet, "pod": w.doPod, "revision": w.doRevision,
		"reconcile": w.doReconcile, "sync": w.doSync, "step": w.doStep, "execute": w.doExecute,
		"kubelet": w.doKubelet, "run": w.doRun, "status": w.doStatus, "conditions": w.doConditions,
		"cells": w.doCells, "counts": w.doCounts, "revisions": w.doRevisions, "pods": w.doPods,
		"quarantine": w.doQuarantine, "woken": w.doWoken, "log": w.doLog, "garbage": w.doGarbage,
		"decide": w.doDecide, "append": w.doAppend, "notices": w.doNotices,
		"object": w.doObject, "objects": w.doObjects, "gc": w.doGC,
	}
	f := verbs[c.verb]
	if f == nil {
		w.fatal("unknown command %q", c.verb)
	}
	f(c)
}
