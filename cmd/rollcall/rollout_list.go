package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

// rolloutFormats are those of rollout list.
var rolloutFormats = []string{"text", "json"}

// rolloutList lists the rollouts that a log tells of.
func (s *session) rolloutList() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "list [ds/NAME]", Short: "List all rollouts of the log: who began each, why, and what became of it", Args: takes(0, 1),
		Long: `list tells of every rollout of the log, from the write of a template to the
controller's word that it is done: the image, who began it and why, how long it
took, the plans that put it on nodes (waves), the pods that were deleted for it, and
how many nodes were without an available pod at most.

A rollout is named as an instant is: rollout/kube-system/fluentd#2:start.`}
	t := addTarget(c)
	t.addRecording(c)
	var namespace string
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSets (default: all)")
	c.Flags().StringVarP(&format, "output", "o", "text", strings.Join(rolloutFormats, ", "))
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if !slices.Contains(rolloutFormats, format) {
			return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown format %q", format), Where: "--output",
				Do: events.Suggest(format, rolloutFormats, "choose from "+strings.Join(rolloutFormats, ", ")), Exit: events.ExitInput}
		}
		name := ""
		if len(args) > 0 {
			if name, err = daemonSetName(args[0]); err != nil {
				return err
			}
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		all, err := s.rollouts(c.Context(), a)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(r *replay.Rollout) bool {
			return name != "" && r.DaemonSet.Name != name || namespace != "" && r.DaemonSet.Namespace != namespace
		})
		if format == "json" {
			return s.printRolloutsJSON(all)
		}
		return s.printRollouts(all)
	}
	return c
}

// rollouts reads the rollouts of a log.
func (s *session) rollouts(ctx context.Context, a *archive) ([]*replay.Rollout, error) {
	info, err := a.Info(ctx)
	if err != nil {
		return nil, err
	}
	p := a.counting("reading the log", info.Last)
	defer p.done()
	return replay.RolloutsOf(ctx, p)
}

func (s *session) printRolloutsJSON(all []*replay.Rollout) error {
	if all == nil {
		all = []*replay.Rollout{}
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write the rollouts: %w", err)
	}
	s.out.printf("%s\n", b)
	return nil
}

// printRollouts prints a line a rollout.
func (s *session) printRollouts(all []*replay.Rollout) error {
	if len(all) == 0 {
		fmt.Fprintln(s.err, "No rollouts found")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "ROLLOUT\tIMAGE\tBY\tSTART\tTOOK\tSTATE\tNODES\tWAVES\tRESTARTED\tPEAK UNAVAILABLE\tWHY")
	for _, r := range all {
		took := "-"
		if r.End.Seq > 0 {
			took = r.End.Time.Sub(r.Start.Time).Round(time.Millisecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t#%d %s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r, strings.Join(r.Images, ","), cmp.Or(r.Who, r.Manager, "-"), r.Start.Seq,
			r.Start.Time.Format(time.RFC3339), took, cmp.Or(string(r.Ending), "RollingOut"), r.Nodes, r.Waves, r.Restarted, r.PeakUnavailable, cmp.Or(r.Why, "-"))
	}
	return w.Flush()
}
