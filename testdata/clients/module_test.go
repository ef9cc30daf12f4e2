package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestModule gives a copy of the module a path, and builds a program elsewhere
// that imports the client under that path.
func TestModule(t *testing.T) {
	copied, program := filepath.Join(t.TempDir(), "rollcall"), t.TempDir()
	run := func(dir, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, f := range strings.Split(strings.TrimSpace(run(root, "git", "ls-files", "*.go", "*.patch", "go.mod", "go.sum", ".ci/module")), "\n") {
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
	run(copied, "bash", ".ci/module", path)
	if left := run(copied, "sh", "-c", `grep -rnE '"rollcall/(events|projector|controller|publisher|cmd|docs)[/"]' --include=*.go --include=*.patch . || true`); left != "" {
		t.Errorf("left as they were:\n%s", left)
	}
	main := "package main\n\nimport \"" + path + "/publisher\"\n\nfunc main() {\n\tif _, err := publisher.NewClient(publisher.Options{URL: \"https://127.0.0.1:1\"}); err != nil {\n\t\tpanic(err)\n\t}\n}\n"
	sum, err := os.ReadFile(filepath.Join(copied, "go.sum"))
	if err == nil {
		err = os.WriteFile(filepath.Join(program, "go.sum"), sum, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(program, "main.go"), []byte(main), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(program, "go", "mod", "init", "example.com/program")
	run(program, "go", "mod", "edit", "-require", path+"@v0.0.0", "-replace", path+"="+copied)
	run(program, "go", "run", ".")
}
