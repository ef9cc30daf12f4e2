package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs a command of a module that may complete its go.mod, and has to succeed.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// program makes a module with a program that requires the module of that path, which
// is in a directory: as docs/PUBLISHING.md says to do it.
func program(t *testing.T, path, at, main string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sum, err := os.ReadFile(filepath.Join(at, "go.sum"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "main.go"), []byte(main), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, "go", "mod", "init", "example.com/program")
	run(t, dir, "go", "mod", "edit", "-require", path+"@v0.0.0", "-replace", path+"="+at)
	return dir
}

// TestModule gives a copy of the module a path, and builds a program elsewhere
// that imports the client under that path.
func TestModule(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "rollcall")
	for _, f := range strings.Split(strings.TrimSpace(run(t, root, "git", "ls-files", "*.go", "*.patch", "go.mod", "go.sum", ".ci/module")), "\n") {
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(copied, f)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, f), b, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const path = "example.com/hosted/rollcall"
	run(t, copied, "bash", ".ci/module", path)
	if left := run(t, copied, "sh", "-c", `grep -rnE '"rollcall/(events|projector|controller|publisher|cmd|docs)[/"]' --include=*.go --include=*.patch . || true`); left != "" {
		t.Errorf("left as they were:\n%s", left)
	}
	main := "package main\n\nimport \"" + path + "/publisher\"\n\nfunc main() {\n\tif _, err := publisher.NewClient(publisher.Options{URL: \"https://127.0.0.1:1\"}); err != nil {\n\t\tpanic(err)\n\t}\n}\n"
	run(t, program(t, path, copied, main), "go", "run", ".")
}
