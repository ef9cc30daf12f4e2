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
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, stops...)
	go func() {
		by := <-stopped
		// From the first signal on, the next one has its usual effect: the end.
		signal.Stop(stopped)
		cancel(stoppedBy{by})
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// stoppedBy is the cause of the end of a command that a signal has stopped.
type stoppedBy struct{ os.Signal }

// Error implements error.
func (s stoppedBy) Error() string { return "stopped by signal: " + s.String() }

// Is has it told as what it is to those who do not ask by what.
func (s stoppedBy) Is(err error) bool { return err == context.Canceled }

// exit is what shells make of a process that the signal has ended.
func (s stoppedBy) exit() int {
	if n, ok := s.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitInterrupted
}
