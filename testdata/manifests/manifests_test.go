package manifests

import "testing"

// TestManifests: every manifest is in the program, and it is said what it shows.
//
// finding U2
func TestManifests(t *testing.T) {
	names := Names()
	if len(names) < 5 {
		t.Errorf("only %v are in the program", names)
	}
	for _, name := range names {
		if data, ok := Read(name); !ok || len(data) == 0 {
			t.Errorf("%s cannot be read", name)
		}
		if About(name) == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if len(about) != len(names) {
		t.Errorf("something is said of %d manifests, there are %d", len(about), len(names))
	}
	if _, ok := Read("../manifests"); ok {
		t.Error("a name is a path")
	}
}
