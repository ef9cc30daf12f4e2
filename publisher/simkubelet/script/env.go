package script

import (
	"slices"
	"strings"
)

// execute runs a command in place of the shell, or with more variables.
func execute(r *run, args []string) {
	name, args := args[0], args[1:]
	for name == "env" && len(args) > 0 {
		k, v, ok := strings.Cut(args[0], "=")
		if !ok {
			break
		}
		r.vars[k], r.exported[k], args = v, true, args[1:]
	}
	if name == "env" && len(args) == 0 {
		printEnv(r, args)
		return
	}
	r.command(args)
	if name == "exec" && len(args) > 0 && r.flow == on {
		r.flow = ended
	}
}

// printEnv writes what commands are given, or the one variable that is named.
func printEnv(r *run, args []string) {
	if len(args) > 1 {
		v := environ{r}.Get(args[1])
		if r.code = truth(v.Set); v.Set {
			r.write(v.Str + "\n")
		}
		return
	}
	r.code = 0
	names := keys(r.program.Env)
	for _, k := range keys(r.exported) {
		if _, there := r.program.Env[k]; !there {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		r.write(k + "=" + environ{r}.Get(k).Str + "\n")
	}
}
