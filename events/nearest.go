package events

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest returns up to n of the names that look like want: those within a
// third of its length in edits, letter case not counted, the nearest first and
// equally near ones by name.
func Nearest(want string, names []string, n int) []string {
	type near struct {
		name string
		far  int
	}
	bound := max(1, len(want)/3)
	lower := strings.ToLower(want)
	var found []near
	for _, name := range names {
		if d := len(name) - len(want); d > bound || -d > bound {
			continue
		}
		if far := edits(lower, strings.ToLower(name)); far <= bound && name != want {
			found = append(found, near{name, far})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.far, b.far), strings.Compare(a.name, b.name))
	})
	found = found[:min(n, len(found))]
	out := make([]string, len(found))
	for i, f := range found {
		out[i] = f.name
	}
	return out
}

// edits returns how many bytes must be put in, left out, changed or swapped
// with their neighbour to make b of a.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Suggest asks whether a name was meant that looks like want, or says otherwise.
func Suggest(want string, names []string, otherwise string) string {
	if near := Nearest(want, names, 1); len(near) > 0 {
		return "did you mean " + near[0] + "?"
	}
	return otherwise
}
