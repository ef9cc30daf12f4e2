package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/projector"
)

// banner says what runs, where its data is, and what to try next.
func (s *session) banner(in *upRun, link string) {
	o := in.Options
	var b strings.Builder
	fmt.Fprintf(&b, "rollcall  cluster %s: controller, executor and simulated nodes\n", o.Cluster)
	next := ""
	switch {
	case in.Server == nil:
		fmt.Fprintf(&b, "  NATS     %s (not started here)\n", in.NC.ConnectedUrlRedacted())
		next = in.outsideFlags()
	case in.Server.URL() == "":
		b.WriteString("  NATS     in this process only\n")
	default:
		fmt.Fprintf(&b, "  NATS     %s  credentials in %s\n", in.Server.URL(), in.Server.Dir()+"/connection.json")
		next = " --data " + in.Server.Dir()
	}
	fmt.Fprintf(&b, "  Log      stream %s at #%d\n", in.Subjects.Stream(), in.Began.Last)
	if in.Server != nil {
		fmt.Fprintf(&b, "  Data     %s\n", in.dataText())
		fmt.Fprintf(&b, "  Writes   %s\n", in.durabilityText())
	}
	b.WriteString(in.Served.Lines())
	b.WriteString(in.NamesLine())
	if link != "" {
		fmt.Fprintf(&b, "  Page     %s  lets one browser in, once\n", link)
	}
	if in.Server == nil || next != "" {
		fmt.Fprintf(&b, "  Try      %s log -f%s\n", self(), next)
		if in.Served.Kubeconfig != "" {
			fmt.Fprintf(&b, "           %s kubectl get ds -A%s\n", self(), next)
			fmt.Fprintf(&b, "           %s node fail node-0002%s\n", self(), next)
		}
	}
	if !in.up.once {
		b.WriteString("  Stop     Ctrl-C\n")
	}
	s.out.printf("%s\n", b.String())
}

// outsideFlags are the flags with which commands reach a log on a NATS server
// that is somebody else's. The kubeconfig knows where it is; a password is not
// printed, and the list of instances has it.
func (in *upRun) outsideFlags() string {
	o := in.Options
	switch {
	case in.Served.Kubeconfig != "":
		return " --kubeconfig " + instance.QuoteShell(in.Served.Kubeconfig)
	case instance.WithoutUser(o.NATSURL) != o.NATSURL:
		return ""
	case o.NATSCreds != "":
		return " --nats-url " + instance.QuoteShell(o.NATSURL) + " --nats-creds " + instance.QuoteShell(o.NATSCreds)
	}
	return " --nats-url " + instance.QuoteShell(o.NATSURL)
}

// self is how the program was called.
func self() string {
	if strings.Contains(os.Args[0], "/go-build") {
		return "go run ./cmd/rollcall"
	}
	return os.Args[0]
}

func (in *upRun) dataText() string {
	switch o := in.Options; {
	case o.Memory:
		return "in memory, nothing is kept"
	case o.Data == "":
		return in.Server.Dir() + ", deleted at the end; keep it with --data DIR"
	}
	return in.Data + ", kept"
}

func (in *upRun) durabilityText() string {
	switch {
	case in.Memory:
		return "memory: they end with this process"
	case in.up.durability == "sync":
		return "sync: an acknowledged write survives a power cut"
	}
	return "relaxed: a power cut may lose the last two minutes"
}

// farewell says what was kept and how to go on.
func (s *session) farewell(in *upRun) error {
	at := in.LastSeq()
	switch o := in.Options; {
	case in.Server == nil:
		s.out.printf("stopped at #%d; the log stays on the NATS server\n", at)
	case o.Data != "":
		s.out.printf("stopped at #%d; the log is kept: go on with  %s up --data %s\n", at, self(), o.Data)
	case o.Memory:
		s.out.printf("stopped at #%d; nothing is kept\n", at)
	case in.kept:
		dir := instance.QuoteShell(in.Server.Dir())
		s.out.printf("stopped at #%d; the log is kept, to see why:\n  %[2]s log --data %[3]s\n  %[2]s verify --data %[3]s\n  %[2]s up --data %[3]s\n", at, self(), dir)
	default:
		s.out.printf("stopped at #%d; the temporary log is deleted: keep the next one with --data DIR\n", at)
	}
	return s.out.failure()
}

// keep leaves the temporary log of an up that has failed with err where it is,
// and adds to err where that is. What was stopped, or refused, needs none.
func (in *upRun) keep(err error) error {
	var e *events.Error
	own := errors.As(err, &e)
	if err == nil || errors.Is(err, context.Canceled) || own && e.Exit == events.ExitInput ||
		in.Server == nil || in.Data != "" || in.Memory {
		return err
	}
	in.Server.Keep()
	in.kept = true
	if !own {
		return err
	}
	more := *e
	more.Do = strings.TrimPrefix(e.Do+"; ", "; ") + "what happened is in its log: rollcall log --data " + instance.QuoteShell(in.Server.Dir())
	more.Err = err
	return &more
}

// printSummary says what an up with --once has done.
func (s *session) printSummary(in *upRun, v *viewer, began time.Time) {
	var pods, nodes, sets int
	in.State.Read(func(st *projector.State) {
		nodes, sets = st.NodeCount(), len(st.DaemonSets())
		for _, d := range st.DaemonSets() {
			pods += d.Counts.Available
		}
	})
	facts, plans := v.counts()
	s.out.printf("%s: %s available on %s; %s and %s in %.1f s\n", plural(sets, "DaemonSet"), plural(pods, "pod"), plural(nodes, "node"),
		plural(facts, "fact"), plural(plans, "plan"), time.Since(began).Seconds())
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
