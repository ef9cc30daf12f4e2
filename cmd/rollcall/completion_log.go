package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/invariant"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// completionTime is how long a shell may wait for names. What was not found by then
// is not offered. It is no constant, since what a test is offered must not depend on
// how busy the machine is.
var completionTime = 800 * time.Millisecond

// maxOffered bounds what is offered at once.
const maxOffered = 1000

// completedFromLog says what a shell may complete of the arguments and the flags of
// commands that ask a log. Whatever goes wrong, nothing is offered, and nothing said.
func completedFromLog(c *cobra.Command) {
	path := strings.TrimPrefix(c.CommandPath(), "rollcall ")
	for flag, how := range map[string]cobra.CompletionFunc{
		"without": namedInstants, "namespace": namespaces, "rec": recordings, "diff": recordings, "beside": recordings,
	} {
		complete(c, flag, how)
	}
	for _, flag := range []string{"at", "from", "to", "good", "bad", "before"} {
		switch f := c.Flags().Lookup(flag); {
		case f == nil:
		case strings.Contains(f.Usage, "instant"):
			complete(c, flag, namedInstants)
		case strings.Contains(f.Usage, "recording"): // archive --to
			complete(c, flag, recordings)
		}
	}
	if how, ok := map[string][]cobra.CompletionFunc{
		"why": {objects}, "why-not": {blocked}, "effects": {namedInstants}, "diff": {namedInstants, namedInstants, objects},
		"check": {invariants}, "bisect": {invariants}, "plan": {daemonSetNames}, "diverge": {daemonSetNames},
		"rollout list": {daemonSetNames}, "rollout status": {daemonSetNames}, "rollout pause": {daemonSetNames}, "rollout resume": {daemonSetNames},
		"rollout receipt": {rolloutNames}, "rollout chart": {rolloutNames}, "rollout compare": {rolloutNames, rolloutNames},
		"node fail": {nodeNamesOf}, "node recover": {nodeNamesOf},
		"record info": {recordings}, "record verify": {recordings}, "record import": {recordings}, "regress": {recordings},
		"rollout apply": {plans},
	}[path]; ok {
		last := path == "check" || path == "regress" || strings.HasPrefix(path, "node ")
		c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) < len(how):
				return how[len(args)](c, args, begun)
			case last:
				return how[len(how)-1](c, args, begun)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	for _, sub := range c.Commands() {
		completedFromLog(sub)
	}
}

// recordings completes files.
func recordings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{strings.TrimPrefix(recordingSuffix, ".")}, cobra.ShellCompDirectiveFilterFileExt
}

// plans completes files that rollcall plan may have written.
func plans(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
}

// invariants completes their names.
func invariants(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	all, _ := invariant.Named() // all of them are known
	var names []string
	for _, i := range all {
		if !slices.Contains(args, i.Name) {
			names = append(names, cobra.CompletionWithDesc(i.Name, i.Says))
		}
	}
	return offered(names, begun)
}

// offered returns the names that go on from what has begun.
func offered(names []string, begun string) ([]string, cobra.ShellCompDirective) {
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, begun) })
	return names[:min(len(names), maxOffered)], cobra.ShellCompDirectiveNoFileComp
}

// flagOf returns the value of a flag; empty: c has none of that name.
func flagOf(c *cobra.Command, name string) string {
	if f := c.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// glance asks the log that the flags of c name, quietly and not for long.
func glance(c *cobra.Command, look func(context.Context, *asked) error) {
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	recs, _ := c.Flags().GetStringArray("rec") // none of a command without it
	q := &question{format: "text", target: &target{data: flagOf(c, "data"), recs: recs, natsURL: flagOf(c, "nats-url"), natsCreds: flagOf(c, "nats-creds"),
		kubeconfig: flagOf(c, "kubeconfig"), cluster: flagOf(c, "cluster")}}
	s := &session{out: newOutput(io.Discard, func(error) {}), err: io.Discard}
	_ = s.ask(ctx, q, func(x *asked) error { return look(ctx, x) }) // then nothing is offered
}

// stateOf returns the state at the end of the log; nil: it was not found in time.
func stateOf(c *cobra.Command) (st *projector.State) {
	glance(c, func(ctx context.Context, x *asked) (err error) {
		st, err = x.At(ctx, x.Span().Last)
		return err
	})
	return st
}

// rolloutsFor returns the rollouts of the log, as far as it was read in time.
func rolloutsFor(c *cobra.Command) (all []*replay.Rollout) {
	glance(c, func(ctx context.Context, x *asked) (err error) {
		all, err = x.Rollouts(ctx, x.Span().Last)
		return err
	})
	return all
}

// namedInstants completes those that have names: the newest rollouts first.
func namedInstants(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	names := []string{"now"}
	if begun != "" && !strings.HasPrefix("rollout/", begun) && !strings.HasPrefix(begun, "rollout/") {
		return offered(names, begun)
	}
	for _, r := range slices.Backward(rolloutsFor(c)) {
		if r.Revision == 0 {
			continue
		}
		about := strings.Join(r.Images, ", ") + ", " + endingText(r)
		names = append(names, cobra.CompletionWithDesc(r.String()+":start", about))
		if r.End.Seq > 0 {
			names = append(names, cobra.CompletionWithDesc(r.String()+":end", about))
		}
		for i := range r.Waves {
			if wave := r.String() + ":wave:"; strings.HasPrefix(begun, wave[:len(wave)-1]) {
				names = append(names, fmt.Sprintf("%s%d", wave, i+1))
			} else if i == 0 {
				names = append(names, cobra.CompletionWithDesc(wave, plural(len(r.Waves), "wave")))
			}
		}
	}
	return offered(names, begun)
}

// rolloutNames completes NAMESPACE/NAME#REVISION, and files of recordings where
// those can be named.
func rolloutNames(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, r := range slices.Backward(rolloutsFor(c)) {
		if r.Revision > 0 {
			name := strings.TrimPrefix(r.String(), "rollout/")
			names = append(names, cobra.CompletionWithDesc(name, strings.Join(r.Images, ", ")+", "+endingText(r)))
		}
	}
	found, how := offered(names, begun)
	if c.Name() == "compare" && len(found) == 0 {
		return recordings(nil, nil, "")
	}
	return found, how
}

// namespaces completes those that the log tells of.
func namespaces(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return offered(keysOf(stateOf(c), events.Namespace, ""), begun)
}

// keysOf returns the names of the objects of a kind. With a namespace those in it
// come without it; others, and all without one, with theirs, unless that is the
// default one.
func keysOf(st *projector.State, kind events.Kind, namespace string) (names []string) {
	if st == nil {
		return nil
	}
	for _, o := range st.List(kind, namespace) {
		name := o.Key.Name
		if namespace == "" && o.Key.Namespace != "" && o.Key.Namespace != "default" {
			name = o.Key.Namespace + "/" + name
		}
		names = append(names, name)
	}
	return names
}

// objects completes KIND/NAME.
func objects(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	st := stateOf(c)
	kind, _, named := strings.Cut(begun, "/")
	if k, err := replay.ParseKind(kind); named && err == nil {
		if st != nil && k.Custom() {
			k, _ = replay.KindIn(st, k)
		}
		var names []string
		for _, name := range keysOf(st, k, flagOf(c, "namespace")) {
			names = append(names, kind+"/"+name)
		}
		return offered(names, begun)
	}
	names := []string{"pod/", "ds/", "node/"}
	if st != nil {
		for _, k := range st.Kinds() {
			names = append(names, strings.ToLower(string(k))+"/")
		}
	}
	slices.Sort(names)
	found, how := offered(slices.Compact(names), begun)
	return found, how | cobra.ShellCompDirectiveNoSpace
}

// blocked completes what why-not is asked about.
func blocked(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if kind, _, named := strings.Cut(begun, "/"); named && kind != "ds" {
		return objects(c, args, begun)
	}
	st := stateOf(c)
	var names []string
	for _, name := range keysOf(st, events.DaemonSet, flagOf(c, "namespace")) {
		names = append(names, "ds/"+name)
	}
	return offered(append(names, keysOf(st, events.Node, "")...), begun)
}

// daemonSetNames completes ds/NAME.
func daemonSetNames(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if st := stateOf(c); st != nil {
		for _, o := range st.List(events.DaemonSet, flagOf(c, "namespace")) {
			names = append(names, "ds/"+o.Key.Name)
		}
	}
	return offered(names, begun)
}

// nodeNamesOf completes the names of nodes that are not given yet.
func nodeNamesOf(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	names := keysOf(stateOf(c), events.Node, "")
	return offered(slices.DeleteFunc(names, func(n string) bool { return slices.Contains(args, n) }), begun)
}
