package main

import (
	"strings"
	"testing"
)

// TestScenesParse: a scene tells in three lines what to look at and which commands
// answer it, and each of these is a command line.
func TestScenesParse(t *testing.T) {
	for _, x := range scenes {
		lines, n := x.say(100), 0
		for _, line := range lines {
			if _, command, ok := strings.Cut(line, " "+self()+" "); ok {
				n++
				if err := parses(strings.Fields(command)); err != nil {
					t.Errorf("%s says %q: %v", x.name, line, err)
				}
			}
		}
		if len(lines) != 3 || n == 0 || strings.Contains(strings.Join(lines, ""), halfway) {
			t.Errorf("%s tells %q, with %d commands", x.name, lines, n)
		}
	}
}
