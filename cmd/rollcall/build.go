package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/files"
	"rollcall/events/recording"
)

// decisionsFormat is the output of verify that another rollcall compares with what
// it decides itself.
const decisionsFormat = "decisions"

// build is another rollcall that is run over a log.
type build struct {
	path  string
	limit time.Duration // for each time that it is run
}

// addTimeout gives a command that runs another rollcall a bound for it.
func (b *build) addTimeout(c *cobra.Command) {
	c.Flags().DurationVar(&b.limit, "timeout", 10*time.Minute, "how long the other program may take")
}

func (b *build) check() error {
	if b.limit <= 0 {
		return &events.Error{Code: "E-CLI-DURATION", What: b.limit.String() + " cannot be how long it may take", Where: "--timeout", Do: "give more than 0s", Exit: events.ExitInput}
	}
	return nil
}

func (b *build) fails(why string) error {
	return &events.Error{Code: "E-CLI-BUILD", What: "the other rollcall has not told what it decides", Where: b.path, Why: why,
		Do: "give the path of one that has verify -o " + decisionsFormat, Exit: events.ExitInput}
}

// Bounds of what another program may print.
const (
	maxSaidLine = 64 << 20 // a plan has at most events.MaxCommands commands
	maxSaidMore = 1000     // lines besides one an event
	maxStderr   = 4 << 10
)

// first keeps the first bytes that are written to it.
type first struct{ bytes.Buffer }

// Write implements io.Writer.
func (f *first) Write(p []byte) (int, error) {
	f.Buffer.Write(p[:min(len(p), max(0, maxStderr-f.Len()))])
	return len(p), nil
}

// run runs the other rollcall and takes each line of its output.
func (b *build) run(ctx context.Context, take func([]byte) error, args ...string) error {
	limited, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	var stderr first
	c := exec.CommandContext(limited, b.path, args...)
	c.Stderr, c.WaitDelay = &stderr, time.Second
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return b.fails("it cannot be run: " + files.Reason(err))
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxSaidLine)
	var taken error
	for taken == nil && lines.Scan() {
		taken = take(lines.Bytes())
	}
	taken = cmp.Or(taken, lines.Err())
	if taken != nil {
		cancel()
	}
	err = c.Wait()
	said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return b.fails(fmt.Sprintf("it has not ended in %s", b.limit))
	case err != nil && taken == nil:
		return b.fails(cmp.Or(strings.TrimPrefix(said, "error: "), err.Error()))
	case taken != nil:
		return b.fails(taken.Error())
	}
	return nil
}

// decide has the other rollcall tell what it decides of a recording that ends at
// last.
func (b *build) decide(ctx context.Context, rec string, last events.Seq) (*replay.Account, error) {
	var d replay.Account
	n := 0
	err := b.run(ctx, func(line []byte) error {
		var x replay.Said
		if err := json.Unmarshal(line, &x); err != nil {
			return errors.New("it prints something else")
		}
		if n++; n > int(last)+maxSaidMore {
			return errors.New("it says more than there are events")
		}
		return d.Take(x)
	}, "verify", "-o", decisionsFormat, "--rec", rec)
	if err == nil && !d.Whole(last) {
		err = b.fails("it has not said all")
	}
	return &d, err
}

// picture has the other rollcall print its state after an event.
func (b *build) picture(ctx context.Context, rec string, at events.Seq) (p any, hash string, err error) {
	var all bytes.Buffer
	keep := func(line []byte) error {
		if all.Len() > maxSaidLine {
			return errors.New("its state is too large")
		}
		all.Write(line)
		return nil
	}
	if err = b.run(ctx, keep, "state", "-o", "json", "--at", fmt.Sprint(at), "--rec", rec); err != nil {
		return nil, "", err
	}
	var x struct{ Items []map[string]any }
	if json.Unmarshal(all.Bytes(), &x) != nil || len(x.Items) != 1 {
		return nil, "", b.fails("it prints something else as its state")
	}
	hash, _ = x.Items[0]["hash"].(string)
	delete(x.Items[0], "hash")
	return x.Items[0], hash, nil
}

// carrier returns a recording of the log up to last, which another program can
// read: that of the question itself, or one that lasts until done is called.
func (a *archive) carrier(ctx context.Context, log events.Reader, cluster string, last events.Seq) (path string, done func(), err error) {
	if _, alone := a.history.(recordedLog); alone && len(a.rec) == 1 {
		return a.dir, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "rollcall-verify-")
	if err != nil {
		return "", nil, &events.Error{Code: "E-CLI-FILE", What: "no recording can be made for the other rollcall", Why: files.Reason(err), Do: "make room for temporary files", Exit: events.ExitInput}
	}
	done = func() { _ = os.RemoveAll(dir) }
	info, err := a.Info(ctx)
	var kept recording.Frames // only what the log begins with, if it does not with nothing
	if err == nil && a.begin().Seq > 0 {
		kept, err = a.frames(ctx)
	}
	if err == nil {
		begin := a.begin()
		begin.Log = info.ID
		path = filepath.Join(dir, "log.rollcall")
		version, _ := built()
		o := recording.Options{Cluster: cluster, Build: "rollcall " + version, Compression: recording.Compressions["zstd"]}
		_, err = recording.Export(ctx, path, o, log, begin, recording.Range{Until: func(e events.Event) bool { return e.Seq <= last }}, kept)
	}
	if err != nil {
		done()
		return "", nil, err
	}
	return path, done, nil
}
