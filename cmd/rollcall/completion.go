package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/cmd/rollcall/manifest"
	"rollcall/events/recording"
	"rollcall/testdata/manifests"
)

// completed says what a shell may complete of the flags of c that have few
// values. Flags that c does not have are passed over.
func completed(c *cobra.Command) {
	for flag, values := range map[string][]string{
		"durability":  {"sync", "relaxed"},
		"controllers": instance.KnownControllers,
		"type":        append(eventTypes(), kindGlobs(eventTypes())...),
		"by":          diffGroupings,
		"step":        replaySteps,
		"compression": slices.Sorted(maps.Keys(recording.Compressions)),
	} {
		complete(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	if f := c.Flags().Lookup("output"); f != nil && f.DefValue != "" { // else it names a file
		complete(c, "output", cobra.FixedCompletions(strings.Split(f.Usage, ", "), cobra.ShellCompDirectiveNoFileComp))
	}
	complete(c, "filename", func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		if !strings.HasPrefix(manifest.ExamplePrefix, begun) && !strings.HasPrefix(begun, manifest.ExamplePrefix) || begun == "" {
			return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
		}
		var names []string
		for _, name := range manifests.Names() {
			names = append(names, cobra.CompletionWithDesc(manifest.ExamplePrefix+name, manifests.About(name)))
		}
		return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, begun) }), cobra.ShellCompDirectiveNoFileComp
	})
	complete(c, "data", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
	for _, sub := range c.Commands() {
		completed(sub)
	}
}

func complete(c *cobra.Command, flag string, how cobra.CompletionFunc) {
	if c.Flags().Lookup(flag) != nil {
		_ = c.RegisterFlagCompletionFunc(flag, how) // the flag is there, and is registered once
	}
}
