package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

// rolloutList lists the rollouts that a log tells of.
func (s *session) rolloutList() *cobra.Command {
	var namespace string
	var everywhere bool
	c := &cobra.Command{Use: "list [ds/NAME]", Short: "List all rollouts of the log: who began each, why, and what became of it", Args: takes(0, 1),
		Long: `list tells of every rollout of the log up to an instant, also of DaemonSets that are
gone: from the write of a template to the controller's word that it is done. It says
the image, who began it and why, where it begins and ends and how long it took, the
plans that put it on nodes (waves), the pods that were deleted for it, and how many
nodes were without an available pod at most. Of one that was under way where the log
begins, it tells what it did from there on.

A rollout is named as an instant is: rollout/kube-system/fluentd#2:start.

` + replay.InstantForms,
		Example: `  rollcall rollout list
  rollcall rollout list ds/nginx-daemonset -n default -o json`}
	q := addQuestion(c)
	q.addAt(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSets (default: all)")
	c.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "those of all namespaces, which is what list does without -n")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if everywhere && namespace != "" {
			return usageError("E-CLI-FLAG", "-A and -n exclude each other", "give one of them")
		}
		name := ""
		if len(args) > 0 {
			if name, err = daemonSetName(args[0]); err != nil {
				return err
			}
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.listRollouts(c.Context(), x, namespace, name) })
	}
	return c
}

func (s *session) listRollouts(ctx context.Context, x *asked, namespace, name string) error {
	all, err := x.AllRollouts(ctx, x.at.Seq)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(slices.Clone(all), func(r *replay.Rollout) bool {
		return name != "" && r.DaemonSet.Name != name || namespace != "" && r.DaemonSet.Namespace != namespace
	})
	if len(found) == 0 {
		x.log.done()
		fmt.Fprintf(s.err, "No rollouts found%s\n", otherNamespace(all, name))
		found = []*replay.Rollout{}
	}
	return x.give("Rollouts", found, func() string { return rolloutsText(found, x.Span().First) })
}

// otherNamespace says where there are rollouts of a name, or which name is meant.
func otherNamespace(all []*replay.Rollout, name string) string {
	var names []string
	for _, r := range all {
		if r.DaemonSet.Name == name {
			return "; did you mean -n " + r.DaemonSet.Namespace + "?"
		}
		names = append(names, r.DaemonSet.Name)
	}
	if did := events.Suggest(name, names, ""); name != "" && did != "" {
		return "; " + did
	}
	return ""
}

// rolloutsText is a line a rollout of a log that begins with first.
func rolloutsText(all []*replay.Rollout, first events.Seq) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "ROLLOUT\tIMAGE\tBY\tSTART\tEND\tTOOK\tSTATE\tNODES\tWAVES\tRESTARTED\tPEAK UNAVAILABLE\tWHY")
	for _, r := range all {
		start, end, took := fmt.Sprintf("before #%d", first), "-", "-"
		if r.Start.Seq > 0 {
			start = fmt.Sprintf("#%d %s", r.Start.Seq, r.Start.Time.UTC().Format(time.RFC3339))
		}
		if r.End.Seq > 0 {
			end = fmt.Sprintf("#%d", r.End.Seq)
		}
		if r.Start.Seq > 0 && r.End.Seq > 0 {
			took = r.End.Time.Sub(r.Start.Time).Round(time.Millisecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r, strings.Join(r.Images, ","), cmp.Or(r.Who, r.Manager, "-"), start,
			end, took, endingText(r), r.Nodes, len(r.Waves), r.Restarted+r.RestartedAfter, r.PeakUnavailable, cmp.Or(r.Why, "-"))
	}
	_ = w.Flush() // into memory
	return b.String()
}

// endingText says how a rollout stands.
func endingText(r *replay.Rollout) string { return cmp.Or(string(r.Ending), "RollingOut") }

// rolloutNamed is a rollout that an argument names, of the log that is asked or of
// a recording.
type rolloutNamed struct {
	text     string
	file     string // of a recording; empty: it is in the log that is asked
	of       events.Key
	revision int64 // 0: the last
	any      bool  // the last of all
}

// recordingSuffix is what the names of recordings end with.
const recordingSuffix = ".rollcall"

// parseRollout reads [KIND/][NAMESPACE/]NAME[#REVISION]; with a recording before
// it and a colon, or a recording alone, if files may be named.
func parseRollout(text, namespace string, files bool) (r rolloutNamed, err error) {
	r.text = text
	name := text
	if i := strings.Index(text, recordingSuffix); files && i >= 0 {
		rest := text[i+len(recordingSuffix):]
		r.file = text[:i+len(recordingSuffix)]
		if r.any = rest == ""; r.any {
			return r, nil
		}
		name = strings.TrimPrefix(rest, ":")
		if name == rest {
			name = "" // something else begins like a recording
		}
	}
	for _, kind := range []string{"rollout/", "ds/", "daemonset/", "daemonsets/"} {
		if own, ok := strings.CutPrefix(name, kind); ok {
			name = own
			break
		}
	}
	var ok bool
	if r.of, r.revision, ok = replay.ParseRollout(name, cmp.Or(namespace, "default")); !ok {
		do := "write NAMESPACE/NAME#REVISION, or ds/NAME#REVISION with -n NAMESPACE; rollcall rollout list shows them"
		if files {
			do = "write NAMESPACE/NAME#REVISION, FILE" + recordingSuffix + " or FILE" + recordingSuffix + ":NAMESPACE/NAME#REVISION"
		}
		return r, usageError("E-CLI-NAME", fmt.Sprintf("%q names no rollout", text), do)
	}
	return r, nil
}

// in returns the rollout among those of its log, if all of it is there.
func (r rolloutNamed) in(all []*replay.Rollout) (found *replay.Rollout, err error) {
	do := ""
	switch {
	case !r.any:
		found, do = replay.FindRollout(all, r.of, r.revision)
	case len(all) == 0:
		return nil, usageError("E-CLI-NAME", "there is no rollout", "see rollcall rollout list --rec "+r.file)
	default:
		found = all[len(all)-1]
	}
	if found != nil && found.Start.Seq == 0 {
		return nil, usageError("E-CLI-NAME", found.String()+" began before the log does", replay.WithArchive)
	}
	if found != nil {
		return found, nil
	}
	for _, x := range all {
		if x.DaemonSet.Name == r.of.Name && x.DaemonSet.Namespace != r.of.Namespace && !strings.Contains(do, "#") {
			do = "did you mean -n " + x.DaemonSet.Namespace + "?"
		}
	}
	return nil, usageError("E-CLI-NAME", fmt.Sprintf("the log has no rollout %s", r.text), do)
}
