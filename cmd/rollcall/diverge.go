package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/publisher/gate"
)

// diverging is what the flags and arguments of diverge say.
type diverging struct {
	from, namespace, selector string
	query                     replay.ShadowQuery
	first                     replay.Instant // --from
	toEnd                     bool           // --to is not given
}

func (s *session) divergeCommand() *cobra.Command {
	var o diverging
	c := &cobra.Command{Use: "diverge [DAEMONSET...]", Short: "Show where the controller of a recorded cluster differs from ours", Args: takes(0, -1),
		Long: `diverge compares the DaemonSet controller of a cluster that was recorded with connect
--shadow with ours: at each event of the record it works out what ours would have done,
and holds what was done against that. Nothing is planned, and nothing written.

What was done is agreed (ours would have done just that; with it comes for how long
before), other choice (it would have done the same to another pod or node, within the
same budget), foreign (somebody else did it: a user, an eviction, the garbage collector),
not seen (a list told of it when it was done already, or of a later spec and not of those
before), or too new for a judgement. Else
it diverges:

  extra    the cluster's controller did it, and ours would not have
  missing  ours would have done it a minute ago, and nobody has
  status   the status has counted something else for half a minute

Who deleted a pod is in the cluster's Events, of which its controller tells 25 of a
DaemonSet at once and one more each five minutes. Beyond that a deletion that ours would
not have done is told as foreign, of which nobody can tell whose it is.

That nothing happened counts too: beside who records, up to the moment until which the
recorder knows it, else up to the last event.

diverge exits 0 if nothing diverges, and 1 if something does.

` + replay.InstantForms,
		Example: `  rollcall diverge --data ./record
  rollcall diverge fluentd -n kube-system --data ./record --from 1
  rollcall diverge -l k8s-app=fluentd-logging --all --data ./record -o json`}
	q := addQuestion(c)
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "first instant that is compared (default: the first event)")
	q.flag = "--to"
	f.StringVar(&q.at, "to", "", "last instant that is compared (default: the end of the log)")
	f.StringVarP(&o.namespace, "namespace", "n", "", "only DaemonSets of a namespace (default: all; of those that are named: default)")
	f.StringVarP(&o.selector, "selector", "l", "", "only DaemonSets with these labels")
	f.BoolVar(&o.query.All, "all", false, "tell of all that was done, and not only of what diverges")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.read(q, args); err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.diverge(c.Context(), x, &o, q.target.user) })
	}
	return c
}

// read reads the flags and the arguments.
func (o *diverging) read(q *question, args []string) (err error) {
	o.query.Namespace, o.toEnd = o.namespace, q.at == ""
	if o.namespace != "" {
		if err := checkNamespace(o.namespace); err != nil {
			return err
		}
	}
	for _, a := range args {
		name := strings.TrimPrefix(strings.TrimPrefix(a, "ds/"), "daemonset/")
		k := events.Key{Namespace: cmp.Or(o.namespace, metav1.NamespaceDefault), Name: name}
		if ns, rest, ok := strings.Cut(name, "/"); ok {
			k.Namespace, k.Name = ns, rest
		}
		if why := events.CheckObjectName(events.DaemonSet, k); why != "" {
			return usageError("E-CLI-NAME", fmt.Sprintf("%q names no DaemonSet: %s", a, why), "give the name of a DaemonSet, with -n for its namespace")
		}
		if o.query.Of == nil {
			o.query.Of = map[events.Key]bool{}
		}
		o.query.Of[k] = true
	}
	if o.selector != "" {
		selector, err := labels.Parse(o.selector)
		if err != nil {
			return usageError("E-CLI-FLAG", "--selector: "+err.Error(), "write it as kubectl takes it, such as app=agent")
		}
		o.query.Match = func(ds *appsv1.DaemonSet) bool { return selector.Matches(labels.Set(ds.Labels)) }
	}
	if o.first, err = q.instant(o.from); err != nil {
		return of("--from", err)
	}
	return nil
}

func (s *session) diverge(ctx context.Context, x *asked, o *diverging, user string) error {
	from, err := x.beginning(ctx, o.from, o.first)
	if err != nil {
		return err
	}
	heard, err := x.heard(ctx, user)
	if err != nil {
		return err
	}
	to := x.at
	if o.toEnd {
		to.Now = heard
	}
	d, err := x.Diverge(ctx, o.query, from, to, heard)
	if err != nil {
		return err
	}
	err = x.give("Diverge", []*replay.Diverged{d}, func() string { return divergedText(d) })
	if err == nil && len(d.Divergences) > 0 {
		return errDiffers
	}
	return err
}

// heard returns until when the log has what has happened in the cluster that it is a record
// of: what its recorder says. Zero: nobody records it.
func (x *asked) heard(ctx context.Context, user string) (time.Time, error) {
	if x.log.nc == nil {
		return time.Time{}, nil
	}
	info, err := gate.Ask(ctx, x.log.nc, x.log.subjects, user)
	if errors.Is(err, nats.ErrNoResponders) {
		return time.Time{}, nil
	}
	return info.Heard, err
}

func divergedText(d *replay.Diverged) string {
	var b strings.Builder
	shown := d.Divergences
	if d.All != nil {
		shown = d.All
	}
	for _, a := range shown {
		b.WriteString(actText(a))
	}
	if len(shown) > 0 {
		b.WriteByte('\n')
	}
	silence := ""
	if d.Silence >= time.Second {
		silence = fmt.Sprintf(", and %s after it in which nothing happened", d.Silence.Round(time.Second))
	}
	fmt.Fprintf(&b, "cluster %s, %s: %s, #%d to #%d%s\n", d.Cluster, cmp.Or(d.Version, "of no known version"), plural(d.DaemonSets, "DaemonSet"), d.From, d.To, silence)
	if d.Mode != events.Shadow {
		fmt.Fprintf(&b, "its mode is %s now: only the time in which it was recorded is compared\n", d.Mode)
	}
	agreed := ""
	if d.Agreed > 0 {
		agreed = fmt.Sprintf(" (due %s before, at most %s)", d.LeadMedian.Round(time.Millisecond), d.LeadMost.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%s: %d agreed%s, %d other choice, %d foreign, %d not seen, %d too new\n",
		plural(d.Acts, "act"), d.Agreed, agreed, d.Other, d.ForeignActs(), d.Unseen, d.TooNew)
	for _, f := range d.Foreign {
		fmt.Fprintf(&b, "   foreign: %d by %s\n", f.Acts, f.By)
	}
	for _, name := range d.Unknown {
		fmt.Fprintf(&b, "not compared: %s, whose template has fields that this version does not know, or of which not all is in the record\n", name)
	}
	switch {
	case len(d.Divergences) > 0:
		b.WriteString(plural(len(d.Divergences), "divergence") + "\n")
	case d.DaemonSets == 0:
		b.WriteString("nothing was compared: the log tells of no such DaemonSet there\n")
	default:
		b.WriteString("nothing diverges\n")
	}
	return b.String()
}

// actText is a line on one act, and one on what rollcall would have done.
func actText(a replay.Act) string {
	parts := []string{string(a.Do)}
	if a.Object != "" {
		parts = append(parts, a.Object)
	}
	if a.Node != "" {
		parts = append(parts, "on "+a.Node)
	}
	line := fmt.Sprintf("#%d %s  %-12s ds/%s  %s", a.Seq, clockText(a.Time), a.Class, a.DaemonSet, strings.Join(parts, " "))
	switch {
	case a.Class == replay.Undone:
		return fmt.Sprintf("%s (%s), due for %s\n", line, cmp.Or(a.Due, "revision"), a.Lead.Round(time.Second))
	case a.Class == replay.Counted:
		return fmt.Sprintf("%s for %s: %s\n", line, a.Lead.Round(time.Second), a.Due)
	case a.Class == replay.Agreed:
		return fmt.Sprintf("%s (%s), due %s before\n", line, cmp.Or(a.Due, "revision"), a.Lead.Round(time.Millisecond))
	case a.Class == replay.Other:
		return fmt.Sprintf("%s\n   ours: %s\n", line, a.Due)
	case a.Class != replay.Extra:
		return fmt.Sprintf("%s, by %s\n", line, cmp.Or(a.By, "somebody"))
	case a.Rule != "":
		return fmt.Sprintf("%s, by %s\n   ours: would have waited, %s\n", line, a.By, ruleOf(a.Rule))
	}
	return fmt.Sprintf("%s, by %s\n   ours: %s\n", line, a.By, cmp.Or(a.Due, "nothing was due"))
}

// ruleOf says what a rule of rollcall's own is.
func ruleOf(r controller.Rule) string {
	return cmp.Or(ruleTexts[string(r)], "the node of the pod is gone")
}
