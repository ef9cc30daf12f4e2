package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/recording"
)

func (s *session) recordInfo() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "info FILE", Short: "Tell what a recording covers", Args: takes(1, 1),
		Long: "info tells what a recording says of itself. It reads no event: see verify."}
	c.Flags().StringVarP(&format, "output", "o", "text", strings.Join(answerFormats[:2], ", "))
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := checkFormat(format, answerFormats[:2]); err != nil {
			return err
		}
		return s.tellRecording(args[0], format)
	}
	return c
}

// tellRecording prints what a recording says of itself.
func (s *session) tellRecording(path, format string) error {
	r, err := recording.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	if format == "json" {
		b, err := json.MarshalIndent(struct {
			recording.Manifest
			Torn *recording.Torn `json:"torn,omitempty"`
		}{r.Manifest(), r.Torn()}, "", "  ")
		s.out.printf("%s\n", b)
		return err
	}
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	s.out.printf("%s", recordingText(path, size, r))
	return nil
}

// recordingText is what info prints.
func recordingText(path string, size int64, r *recording.Recording) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	m := r.Manifest()
	line("recording", "%s, %s, format %d", path, bytesText(size), m.Format)
	if m.Build != "" {
		line("made by", "%s", m.Build)
	}
	line("cluster", "%s, log %s", m.Cluster, m.Log)
	last := m.Last
	if t := r.Torn(); t != nil {
		last.Seq = t.Last
	}
	from := "from the beginning of the log"
	if m.Before.Seq > 0 {
		from = fmt.Sprintf("after #%d", m.Before.Seq)
	}
	line("covers", "%s, #%d to #%d, %s", plural(int(last.Seq-m.Before.Seq), "event"), m.Before.Seq+1, last.Seq, from)
	if m.Filter != "" {
		line("asked for", "%s", m.Filter)
	}
	if m.Complete && m.Events > 0 {
		line("time", "%s to %s, %s", timeText(m.First.Time), timeText(m.Last.Time), m.Last.Time.Sub(m.First.Time).Round(time.Millisecond))
	}
	line("parts", "%s, %s", plural(m.Blocks, "block"), plural(m.Keyframes, "keyframe"))
	if m.Redacted != "" {
		line("redacted", "%s", m.Redacted)
	}
	if m.Complete {
		line("chain", "%x", m.Last.Chain)
	}
	if t := r.Torn(); t != nil {
		line("torn", "%s", t)
	}
	return b.String()
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

func (s *session) recordVerify() *cobra.Command {
	return &cobra.Command{Use: "verify FILE", Short: "Compare a recording with all that it says of itself", Args: takes(1, 1),
		Long: `verify reads all of a recording: the checksum of every part, the chain over its
events, and that the keyframes are the states that come of them. It prints the chain and
the SHA-256 of the events, as a receipt of a rollout has them. It exits 3 if anything
is not what was written. Whether its plans are decided again as they were, rollcall
verify --rec FILE tells.`,
		RunE: func(c *cobra.Command, args []string) error {
			r, err := recording.Open(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			var at atomic.Uint64
			m := r.Manifest()
			done := s.Progress("reading the recording", func() string { return fmt.Sprintf("at #%d of #%d", at.Load(), m.Last.Seq) })
			defer done()
			frames := 0
			var seal []byte
			if err = r.Verify(c.Context(), func(seq events.Seq) { at.Store(uint64(seq)) }); err == nil {
				frames, err = compareFrames(c.Context(), r)
			}
			if err == nil {
				seal, err = sealOf(c.Context(), r)
			}
			done()
			if err != nil {
				return err
			}
			if t := r.Torn(); t != nil {
				return &events.Error{Code: "E-REC-TORN", What: t.String(), Where: args[0], Why: "what is there of it is whole", Do: "get another copy of it, if there is one", Exit: events.ExitHalt}
			}
			s.out.printf("%s, %s: every checksum is right, and so is the chain from #%d to #%d\n", plural(m.Blocks, "block"), plural(m.Keyframes, "keyframe"), m.Before.Seq+1, m.Last.Seq)
			s.out.printf("chain   %x before, %x after\nsha256  %x of the events\n", m.Before.Chain, m.Last.Chain, seal)
			if frames < m.Keyframes {
				s.out.printf("%s of another kind or version: what they hold was not compared\n", plural(m.Keyframes-frames, "keyframe"))
			}
			if m.Original != nil {
				s.out.printf("it is redacted: the chain is that of what is left, and the log's is %x\n", m.Original.Chain)
			}
			return nil
		}}
}

// sealOf returns the seal of the events of a recording.
func sealOf(ctx context.Context, r *recording.Recording) ([]byte, error) {
	seal := chain.NewSeal()
	for e, err := range r.Read(ctx, r.Before().Seq) {
		if err != nil {
			return nil, err
		}
		seal.Take(e)
	}
	return seal.Sum(), nil
}

func (s *session) recordImport() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "import FILE --data DIR", Short: "Make a data directory of a recording", Args: takes(1, 1),
		Long: `import makes a data directory whose log is that of a recording: the same positions,
times and chain. It takes one that begins at #1, since a log has all positions.
The directory is made whole or not at all, and must not be there or be empty;
rollcall up --data DIR goes on from its end.`,
		Example: "  rollcall record import incident.rollcall --data ./again"}
	c.Flags().StringVar(&dir, "data", "", "data directory to make")
	c.RunE = func(c *cobra.Command, args []string) error {
		if dir == "" {
			return usageError("E-CLI-FLAG", "import does not know where to", "give --data DIR")
		}
		r, err := recording.Open(args[0])
		if err != nil {
			return err
		}
		defer r.Close()
		if t := r.Torn(); t != nil {
			s.Warn(t.String())
		}
		m := r.Manifest()
		if m.Redacted != "" {
			s.Warn("the recording is redacted: the cluster that goes on from it has placeholders where values were")
		}
		var at atomic.Uint64
		done := s.Progress("copying the log", func() string { return fmt.Sprintf("at #%d of #%d", at.Load(), m.Last.Seq) })
		defer done()
		end, err := instance.Restore(c.Context(), r, dir, func(seq events.Seq) { at.Store(uint64(seq)) })
		done()
		if err != nil {
			return err
		}
		s.out.printf("%s up to #%d, with the positions, the times and the chain of the recording: go on with\n  %s %s --data %s\n",
			plural(int(end.Seq), "event"), end.Seq, self(), goesOn(c.Context(), r), instance.QuoteShell(dir))
		return nil
	}
	return c
}

// goesOn is the command that goes on with a log. That of a real cluster begins with a charter.
func goesOn(ctx context.Context, r *recording.Recording) string {
	for e, err := range r.Read(ctx, 0) {
		if _, is := e.Body.(events.Charter); is && err == nil {
			return "connect --shadow --kubeconfig FILE"
		}
		break
	}
	return "up"
}
