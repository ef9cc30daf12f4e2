// Package manifests holds the manifests that come with the program: those of
// its tests are those of its first examples.
package manifests

import (
	"embed"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

const suffix = ".yaml"

// about says of each manifest what is to be seen with it.
var about = map[string]string{
	"fluentd":               "a log agent on every worker, with requests, limits and volumes",
	"fluentd-affinity":      "only on nodes with the label type=platform-tools, with a priority",
	"fluentd-elasticsearch": "a log agent, as short as can be",
	"fluentd-tolerations":   "with a toleration of the old taint of control planes",
	"nginx":                 "not an agent: one web server a node",
}

// Names returns the names of all manifests in order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // they are in the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), suffix))
	}
	slices.Sort(names)
	return names
}

// About returns what is to be seen with a manifest.
func About(name string) string { return about[name] }

// needed is what stands before a manifest whose namespace no cluster has.
var needed = map[string]string{
	"fluentd-affinity": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: logging\n---\n",
}

// Read returns a manifest, behind the namespace that it needs. ok is false if
// there is none of that name.
func Read(name string) (data []byte, ok bool) {
	if !slices.Contains(Names(), name) {
		return nil, false
	}
	data, err := files.ReadFile(name + suffix)
	return append([]byte(needed[name]), data...), err == nil
}
