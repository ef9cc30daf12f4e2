package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"

	"rollcall/events"
)

// buildVersion and buildCommit are for builds that know better than the sources: with
// -ldflags '-X main.buildVersion=v1.2.3 -X main.buildCommit=...'.
var buildVersion, buildCommit string

func (s *session) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the versions of what is inside, as --version does", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			s.out.printf("%s", versionText())
			return nil
		}}
}

// versionText is one line for each thing inside.
func versionText() string {
	v, c := built()
	return fmt.Sprintf("rollcall %s\ncommit %s\nKubernetes %s\nnats-server %s\nGo %s %s/%s\nwire %d\n",
		v, c, kubernetesVersion, server.VERSION, runtime.Version(), runtime.GOOS, runtime.GOARCH, events.WireVersion)
}

// built returns the version that the program was built at and the commit of its
// sources. go run, go test, and go build -buildvcs=false do not know the commit.
func built() (v, c string) {
	v, c = buildVersion, buildCommit
	info, ok := debug.ReadBuildInfo()
	if ok && v == "" {
		v = info.Main.Version
	}
	if v == "" {
		v = "(devel)"
	}
	if c != "" {
		return v, c
	}
	settings := map[string]string{}
	if ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	switch c = settings["vcs.revision"]; {
	case c == "":
		return v, "unknown (built with go run, or not in a git checkout)"
	case settings["vcs.modified"] == "true":
		c += ", with changes"
	}
	return v, c
}
