package main

import (
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"

	"rollcall/events"
)

func (s *session) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the versions of what is inside", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			s.out.printf("rollcall %s\nGo %s\nnats-server %s\nwire %d\n", moduleVersion(), runtime.Version(), server.VERSION, events.WireVersion)
			return nil
		}}
}

// moduleVersion is the version that the program was built at, or the revision
// of its sources.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
