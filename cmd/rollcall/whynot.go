package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller"
	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
)

func (s *session) whyNotCommand() *cobra.Command {
	var namespace string
	c := &cobra.Command{Use: "why-not NODE|POD|ds/NAME", Short: "Tell what holds back a node, a pod or a rollout", Args: takes(1, 1),
		Long: `why-not tells why a node is not updated or has no pod, why a pod is not replaced, or
why the rollout of a DaemonSet does not move: what holds it back, in the order in which
the controller asks, who uses what is waited for, since which event, and who told of
that. The deciding functions themselves give the account. If nothing holds it back, the
answer is since when it has been as it should be, or which command is due. Pods that are
not ready are told with what they wait for: no rule of the controller brings that.

A name without a kind is that of a node, or else of a pod.

` + replay.InstantForms,
		Example: `  rollcall why-not node-0003
  rollcall why-not ds/nginx-daemonset --at 20`}
	q := addQuestion(c)
	q.addAt(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSet or the pod (default: default)")
	c.RunE = func(c *cobra.Command, args []string) error {
		bare := !strings.Contains(args[0], "/")
		name := args[0]
		if bare {
			name = "node/" + name
		}
		about, err := replay.ParseSubject(name, namespace)
		if err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error {
			return s.whyNot(c.Context(), x, about, func() (replay.Subject, error) {
				if !bare {
					return about, nil
				}
				return replay.ParseSubject("pod/"+args[0], namespace)
			})
		})
	}
	return c
}

// whyNot answers about an object or, if the log knows no such one, about another.
func (s *session) whyNot(ctx context.Context, x *asked, about replay.Subject, other func() (replay.Subject, error)) error {
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return err
	}
	of, node, err := replay.Asked(st, about)
	if err != nil {
		if about, err = other(); err != nil {
			return err
		}
		if of, node, err = replay.Asked(st, about); err != nil {
			return x.unknownObject(ctx, err, about)
		}
	}
	all, err := x.WhyNots(ctx, x.at, of, node)
	if err != nil {
		return err
	}
	return x.give("WhyNot", all, func() string {
		var b strings.Builder
		for _, w := range all {
			drawWhyNot(&b, w)
		}
		if len(all) == 0 {
			b.WriteString("there is no DaemonSet\n")
		}
		return b.String()
	})
}

func drawWhyNot(b *strings.Builder, x *replay.WhyNot) {
	of := x.DaemonSet
	if x.Node != "" {
		of += " on " + x.Node
	}
	switch {
	case len(x.Blockers) > 0:
		fmt.Fprintf(b, "%s   held back by %s\n", of, plural(len(x.Blockers), "rule"))
	case len(x.Due) > 0:
		fmt.Fprintf(b, "%s   not held back: %s due\n", of, plural(len(x.Due), "command"))
	case len(x.Unready) > 0:
		fmt.Fprintf(b, "%s   not held back, and not ready\n", of)
	default:
		fmt.Fprintf(b, "%s   up to date%s\n", of, sinceText(x.Since))
	}
	for i, k := range x.Blockers {
		drawBlocker(b, i+1, k, x.Node != "")
	}
	for _, c := range x.Due {
		fmt.Fprintf(b, "   due: %s\n", c)
	}
	for _, u := range x.Unready {
		drawUnready(b, u)
	}
}

// drawUnready tells what pods wait for that nothing of the controller holds back.
func drawUnready(b *strings.Builder, u replay.Unready) {
	fmt.Fprintf(b, "%s not ready: %s", plural(len(u.Pods), "pod"), u.Reason)
	if u.Says != "" {
		fmt.Fprintf(b, ", %s", u.Says)
	}
	b.WriteString("\n")
	drawHolders(b, "on", u.Pods)
}

func drawBlocker(b *strings.Builder, n int, k replay.Blocker, oneNode bool) {
	fmt.Fprintf(b, "%d. %s", n, k.Rule)
	if k.Says != "" {
		fmt.Fprintf(b, " %s", k.Says)
	}
	switch {
	case k.Limit > 0:
		fmt.Fprintf(b, ", %d of %d used", k.Used, k.Limit)
	case k.Used > 0:
		fmt.Fprintf(b, ", %d in a row", k.Used)
	}
	if !k.Until.IsZero() {
		fmt.Fprintf(b, ", until %s", clockText(k.Until))
	}
	fmt.Fprintf(b, ": %s\n", ruleText(k))
	if !oneNode && len(k.Nodes) > 0 {
		fmt.Fprintf(b, "   holds back  %s: %s\n", plural(len(k.Nodes), "node"), someOf(k.Nodes))
	}
	if k.Since != nil {
		fmt.Fprintf(b, "   since       %s\n", stepText(*k.Since))
	}
	if k.From != nil {
		fmt.Fprintf(b, "   begun by    %s\n", stepText(*k.From))
	}
	if k.Placed != nil {
		fmt.Fprintf(b, "   placed by   %s\n", stepText(*k.Placed))
	}
	drawHolders(b, "waits for", k.Holders)
}

// drawHolders tells of the first few nodes and their pods, after a word that says
// what they are.
func drawHolders(b *strings.Builder, word string, hs []replay.Holder) {
	for i, h := range hs {
		if i == maxHolders {
			fmt.Fprintf(b, "   and %d more\n", len(hs)-i)
			return
		}
		fmt.Fprintf(b, "   %-12s", word)
		switch {
		case h.Last != nil:
			fmt.Fprintf(b, "%s: %s\n", h.Node, stepText(*h.Last))
		case h.Pod != "":
			fmt.Fprintf(b, "%s: %s\n", h.Node, h.Pod)
		default:
			fmt.Fprintf(b, "%s, which has no pod\n", h.Node)
		}
	}
}

// maxHolders is how many of those that are waited for are told one by one.
const maxHolders = 5

// someOf names the first few.
func someOf(names []string) string {
	if len(names) > maxHolders {
		return strings.Join(names[:maxHolders], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// stepText tells a step on one line.
func stepText(s replay.Step) string {
	if s.Before {
		return s.What
	}
	object := ""
	if s.Object != "" {
		object = s.Object + "  "
	}
	return fmt.Sprintf("#%d %s  %s%s  %s", s.Seq, clockText(s.Time), object, s.What, whoText(s))
}

func sinceText(s *replay.Step) string {
	if s == nil {
		return ""
	}
	return " since " + stepText(*s)
}

// ruleTexts says of each rule what it means for who is held back by it.
var ruleTexts = map[string]string{
	"notThere":                    "there is no such DaemonSet",
	"deleted":                     "the DaemonSet is being deleted",
	"selector":                    "the selector of the DaemonSet claims no pod",
	"revision":                    "the template has no revision yet",
	"suspended":                   "the DaemonSet is suspended",
	"nodeName":                    "the template names another node",
	"labels":                      "node selector or affinity does not match the labels of the node",
	"taint":                       "a taint of the node is not tolerated",
	"onDelete":                    "the update strategy replaces no pod",
	"notReady":                    "the new pod beside the old one is not ready",
	"minReady":                    "the new pod beside the old one is not ready for long enough",
	string(play.RuleNotAvailable): "the new pod does not become available",

	"available": "too few nodes are available for the old pod to go first",

	"generation": "the number of the template says something else of the pod than its revision: it is that of a DaemonSet before, or a later one",

	string(replay.NothingHeld): "nothing held it back: a command was due",

	string(events.HeldBudget):      "as many nodes as the rollout may take are without an available pod, or have two",
	string(events.HeldBackoff):     "tries have come to nothing; the next one is later",
	string(events.HeldPending):     "a command is under way",
	string(events.HeldTerminating): "the old pod is not gone yet",
	string(events.HeldPaused):      "the rollout is paused",
	string(events.HeldCanary):      "the canary selector keeps the old revision here",
	string(events.HeldHold):        "somebody outside holds the rollout here",
	string(events.HeldPartition):   "the partition keeps the old revision here",
	string(events.HeldPredecessor): "a pod of a deleted DaemonSet of this name is not gone yet",
	string(events.HeldNamespace):   "the namespace is being deleted",
	string(events.HeldSkew):        "a field of the template is not known to this version",
	string(events.HeldAltered):     "the last pod came back from the cluster other than it was made",
	string(events.HeldLoop):        "pods are made and replaced here again and again",
	string(events.HeldUnrecorded):  "the log does not have it, or a pod or revision of it, as it is in the cluster",
	string(controller.RuleMode):    "the charter of the log lets no more be done in the cluster",
	string(controller.RuleScope):   "the DaemonSet is not in the scope of the charter",
	string(events.HeldLimit):       "no more commands fit into a plan, or creates are slowed down",
}

func ruleText(k replay.Blocker) string {
	if k.Rule == controller.Rule(events.HeldBudget) && k.Limit > k.Used {
		return "what is left of it is for the nodes before, whose turn it is, also while their next try is later"
	}
	return ruleTexts[string(k.Rule)]
}
