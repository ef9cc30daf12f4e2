package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/testdata/manifests"
)

// TestManifestsInside: every manifest of testdata/manifests is in the program,
// and it is said what it shows.
//
// finding U2
func TestManifestsInside(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "manifests", "*.yaml"))
	if err != nil || len(files) < 5 || len(files) != len(manifests.Names()) {
		t.Errorf("%d files, %v; in the program are %v", len(files), err, manifests.Names())
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := manifests.Read(name); !ok || !bytes.HasSuffix(data, want) {
			t.Errorf("%s is not in the program as it is on the disk", name)
		}
		if manifests.About(name) == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if _, ok := manifests.Read("../manifests/nginx"); ok {
		t.Error("a name is a path")
	}
}
