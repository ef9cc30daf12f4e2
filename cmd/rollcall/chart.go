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
var chartFormats = []string{"svg", "png", "json"}

func (s *session) rolloutChart() *cobra.Command {
	var namespace, format, out string
	c := &cobra.Command{Use: "chart NAMESPACE/NAME[#REVISION]", Short: "Draw a rollout for a report: its waves, and nodes without a pod by why", Args: takes(1, 1),
		Long: `chart draws a rollout as a picture: a row for each wave, from its plan until the last
of its nodes was ready, and below that how many nodes were without an available pod,
by why, with the limit that the rollout had. Without a revision the last rollout of the
DaemonSet is drawn, and one that has not ended as far as it has come.

The picture is SVG, which browsers and word processors read, or PNG; of a rollout that
has ended it has the same bytes each time. It is printed, or written to --out, whose
name says which of the two, and where a file is replaced. -o json gives the numbers
that are drawn.`,
		Example: `  rollcall rollout chart 'default/nginx-daemonset#1' --out rollout.svg
  rollcall rollout chart 'default/nginx-daemonset#1' --out rollout.png
  rollcall rollout chart ds/nginx-daemonset -o json`}
	q := &question{target: addTarget(c), format: "text"}
	q.target.addRecording(c)
	q.addAt(c)
	f := c.Flags()
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSet where none is given (default: default)")
	f.StringVarP(&format, "output", "o", "svg", strings.Join(chartFormats, ", "))
	f.StringVar(&out, "out", "", "file to write, which ends with .svg or .png (default: standard output)")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if err := checkFormat(format, chartFormats); err != nil {
			return err
		}
		if format, err = checkPicture(out, format, c.Flags().Changed("output")); err != nil {
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

// checkPicture returns the form of a picture, which the name of its file says too,
// and refuses a file that cannot hold what is drawn.
func checkPicture(out, format string, given bool) (string, error) {
	named := strings.ToLower(strings.TrimPrefix(filepath.Ext(out), "."))
	switch {
	case out == "":
		return format, nil
	case format == "json":
		return "", usageError("E-CLI-FLAG", "--out is for a picture", "leave it out, or -o "+format)
	case named != "svg" && named != "png":
		return "", &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("%q is no name of a picture", out), Where: "--out", Do: "write a name that ends with .svg or .png", Exit: events.ExitInput}
	case given && format != named:
		return "", usageError("E-CLI-FLAG", fmt.Sprintf("-o %s and a file %s are two forms", format, out), "leave -o out")
	}
	return named, nil
}

func (s *session) chart(ctx context.Context, x *asked, named rolloutNamed, format, out string) error {
	all, err := x.AllRollouts(ctx, x.at.Seq)
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
	picture := chart.SVG(c)
	if format == "png" {
		if _, _, ok := terminal(s.out); ok && out == "" {
			return usageError("E-CLI-FLAG", "a PNG is not for a terminal", "give it a file with --out")
		}
		if picture, err = chart.PNG(c); err != nil {
			return err
		}
	}
	if out == "" {
		s.out.printf("%s", picture)
		return nil
	}
	if err := files.Replace(out, picture); err != nil {
		return &events.Error{Code: "E-CLI-FILE", What: "the picture cannot be written", Where: out, Why: files.Reason(err), Exit: events.ExitInput, Err: err}
	}
	s.out.printf("%s: %s, %s\n%s\n", out, r, plural(len(r.Waves), "wave"), x.covered())
	return nil
}
