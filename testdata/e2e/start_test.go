package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// start runs the binary with four simulated nodes, one of them a tainted
// control plane, and returns its kubeconfig as soon as it says that it serves.
// stop ends it and removes what it wrote.
func start(binary string) (kubeconfig string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "rollcall-e2e-")
	if err != nil {
		return "", nil, err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	cmd := exec.Command(binary, "up", "--nodes", "4", "--data", filepath.Join(dir, "data"), "--kubeconfig", kubeconfig)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		os.RemoveAll(dir)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "export KUBECONFIG=") {
			go func() {
				for lines.Scan() { // a full pipe would stop the server
				}
			}()
			return kubeconfig, stop, nil
		}
	}
	stop()
	return "", nil, fmt.Errorf("%s up ended before it served", binary)
}
