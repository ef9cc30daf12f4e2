//go:build ignore

// Command kubernetes pins k8s.io/kubernetes and its staging modules to one
// pair of versions in go.mod: k8s.io/kubernetes requires its staging modules
// as v0.0.0, and mixed pairs do not compile.
//
//	go run .ci/kubernetes.go v1.36.3
//
// Run it in the folder of the go.mod to change, then go mod tidy.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const module = "k8s.io/kubernetes"

func main() {
	if len(os.Args) != 2 || !strings.HasPrefix(os.Args[1], "v1.") {
		fmt.Fprintln(os.Stderr, "usage: go run .ci/kubernetes.go v1.MINOR.PATCH")
		os.Exit(2)
	}
	if err := pin(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pin(version string) error {
	var download struct{ GoMod string }
	if err := goJSON(&download, "mod", "download", "-json", module+"@"+version); err != nil {
		return err
	}
	var upstream struct {
		Require []struct{ Path, Version string }
	}
	if err := goJSON(&upstream, "mod", "edit", "-json", download.GoMod); err != nil {
		return err
	}
	staging := "v0." + strings.TrimPrefix(version, "v1.")
	args := []string{"mod", "edit", "-require=" + module + "@" + version}
	for _, r := range upstream.Require {
		if r.Version == "v0.0.0" {
			args = append(args, "-replace="+r.Path+"="+r.Path+"@"+staging)
		}
	}
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go mod edit: %w: %s", err, out)
	}
	return nil
}

func goJSON(into any, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return json.Unmarshal(out, into)
}
