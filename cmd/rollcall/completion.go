package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/cmd/rollcall/manifest"
	"rollcall/testdata/manifests"
)

// completed says what a shell may complete of the flags of c that have few
// values. Flags that c does not have are passed over.
func completed(c *cobra.Command) {
	for flag, values := range map[string][]string{
		"durability":  {"sync", "relaxed"},
		"controllers": instance.KnownControllers,
		"type":        append(eventTypes(), kindGlobs(eventTypes())...),
	} {
		complete(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete(c, "output", cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp))
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
