package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/chart"
	"rollcall/events"
	"rollcall/events/files"
)

// chartFormats are those of rollout chart.
var chartFormats = []string{"svg", "json"}

func (s *session) rolloutChart() *cobra.Command {
	var namespace, format, out string
	c := &cobra.Command{Use: "chart NAMESPACE/NAME[#REVISION]", Short: "Draw a rollout for a report: its waves, and nodes without a pod by why", Args: takes(1, 1),
		Long: `chart draws a rollout as a picture: a row for each wave, from its plan until the last
of its nodes was ready, and below that how many nodes were without an available pod,
by why, with the limit that the rollout had. Without a revision the last rollout of the
DaemonSet is drawn, and one that has not ended as far as it has come.

The picture is SVG, which browsers and word processors read; of a rollout that has
ended it has the same bytes each time. It is printed, or written to --out, where a
file is replaced. -o json gives the numbers that are drawn.`,
		Example: `  rollcall rollout chart 'default/nginx-daemonset#1' --out rollout.svg
  rollcall rollout chart ds/nginx-daemonset -o json`}
	q := &question{target: addTarget(c), format: "text"}
	q.target.addRecording(c)
	q.addAt(c)
	f := c.Flags()
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSet where none is given (default: default)")
	f.StringVarP(&format, "output", "o", "svg", strings.Join(chartFormats, ", "))
	f.StringVar(&out, "out", "", "file to write, which ends with .svg (default: standard output)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkFormat(format, chartFormats); err != nil {
			return err
		}
		if err := checkPicture(out, format); err != nil {
			return err
		}
		named, err := parseRollout(args[0], namespace, false)
		if err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.chart(c.Context(), x, named, format, out) })
	}
	return c
}

// checkPicture refuses a file that cannot hold what is drawn.
func checkPicture(out, format string) error {
	if out != "" && format != "svg" {
		return usageError("E-CLI-FLAG", "--out is for a picture", "leave it out, or -o "+format)
	}
	if out == "" || strings.EqualFold(filepath.Ext(out), ".svg") {
		return nil
	}
	return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("%q is no name of an SVG", out), Where: "--out", Why: "a picture of points would need a font and a program to draw with, and no report needs one",
		Do: "write a name that ends with .svg; a browser prints it in any other form", Exit: events.ExitInput}
}

func (s *session) chart(ctx context.Context, x *asked, named rolloutNamed, format, out string) error {
	all, err := x.Rollouts(ctx, x.at.Seq)
	if err != nil {
		return err
	}
	r, err := named.in(all)
	if err != nil {
		return err
	}
	c, err := chart.Of(ctx, x.History, r, x.at.Point)
	if err != nil {
		return err
	}
	x.log.done()
	if format == "json" {
		x.format = format
		return x.give("RolloutChart", []*chart.Chart{c}, nil)
	}
	svg := chart.SVG(c)
	if out == "" {
		s.out.printf("%s", svg)
		return nil
	}
	if err := files.Replace(out, svg); err != nil {
		return &events.Error{Code: "E-CLI-FILE", What: "the picture cannot be written", Where: out, Why: files.Reason(err), Exit: events.ExitInput, Err: err}
	}
	s.out.printf("%s: %s, %s\n%s\n", out, r, plural(len(r.Waves), "wave"), x.covered())
	return nil
}
