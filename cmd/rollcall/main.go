// Command rollcall runs DaemonSets on an event log, and shows the log.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if args, own, ok := asKubectl(os.Args); ok {
		runKubectl(args, own)
	}
	// A closed pipe is an error of a write, not the end of the process: up has
	// a log to close.
	signal.Ignore(syscall.SIGPIPE)
	stops := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		stops = append(stops, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), stops...)
	// From the first signal on, the next one has its usual effect: the end.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
