package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
)

// TestLogKubernetes: the log of Kubernetes' libraries is not ours to show,
// unless it is asked for.
func TestLogKubernetes(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stderr
	os.Stderr = f
	defer func() {
		os.Stderr = was
		if err := errors.Join(logKubernetes(-1), f.Close()); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		level int
		lines int
	}{{-1, 0}, {0, 2}, {3, 3}, {-1, 0}} {
		if err := errors.Join(logKubernetes(c.level), f.Truncate(0)); err != nil {
			t.Fatal(err)
		}
		klog.Error("an error")
		klog.Warning("a warning")
		klog.V(3).Info("a detail")
		b, err := os.ReadFile(f.Name())
		if err != nil || bytes.Count(b, []byte("\n")) != c.lines {
			t.Errorf("level %d: %q, %v; want %d lines", c.level, b, err, c.lines)
		}
	}
}

// TestAsKubectl: the program is kubectl by its name or by its first argument.
func TestAsKubectl(t *testing.T) {
	for _, c := range []struct {
		args    string
		rest    string
		own, ok bool
	}{
		{"rollcall kubectl get pods", "get pods", true, true},
		{"/usr/bin/rollcall kubectl", "", true, true},
		{"/home/u/bin/kubectl get -h", "get -h", false, true},
		{"kubectl kubectl", "kubectl", false, true},
		{"rollcall __complete kubectl get po", "__complete get po", true, true},
		{"rollcall __completeNoDesc kubectl", "__completeNoDesc", true, true},
		{"rollcall __complete up kubectl", "", false, false},
		{"kubectl.exe version", "", false, false},
		{"rollcall get kubectl", "", false, false},
		{"rollcall", "", false, false},
		{"", "", false, false},
	} {
		rest, own, ok := asKubectl(strings.Fields(c.args))
		if strings.Join(rest, " ") != c.rest || own != c.own || ok != c.ok {
			t.Errorf("%q: %q, %v, %v", c.args, rest, own, ok)
		}
	}
}

// TestCutTarget: rollcall kubectl takes out what only rollcall knows, and reads
// what kubectl knows too.
func TestCutTarget(t *testing.T) {
	for args, want := range map[string]struct {
		rest, kubeconfig, data, cluster string
	}{
		"get --kubeconfig k --data d":         {"get --kubeconfig k", "k", "d", ""},
		"--kubeconfig=k --data=d get":         {"--kubeconfig=k get", "k", "d", ""},
		"get --kubeconfigs k":                 {"get --kubeconfigs k", "", "", ""},
		"exec p -- x --kubeconfig k --data d": {"exec p -- x --kubeconfig k --data d", "", "", ""},
		"get --cluster c --data d":            {"get", "", "d", "c"},
		"get --cluster c --kubeconfig k":      {"get --cluster c --kubeconfig k", "k", "", ""},
	} {
		k, rest, err := cutTarget(strings.Fields(args))
		if err != nil || strings.Join(rest, " ") != want.rest || k.kubeconfig != want.kubeconfig || k.data != want.data || k.cluster != want.cluster {
			t.Errorf("%q: %q, %+v, %v", args, rest, k, err)
		}
	}
}

// TestVersion: clients and the server tell the version of Kubernetes that
// go.mod names, however the program was built.
func TestVersion(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	if v := strings.TrimSpace(string(out)); v != kubernetesVersion || !strings.HasPrefix(v, "v"+kubernetesMajor+"."+kubernetesMinor+".") {
		t.Errorf("go.mod has %s, the program says %s, %s and %s", v, kubernetesVersion, kubernetesMajor, kubernetesMinor)
	}
	if v := version.Get(); v.GitVersion != kubernetesVersion || v.Major != kubernetesMajor || v.Minor != kubernetesMinor {
		t.Errorf("the version inside is %+v", v)
	}
	if agent := rest.DefaultKubernetesUserAgent(); !strings.Contains(agent, "/"+kubernetesVersion+" ") || strings.Contains(agent, "Format") {
		t.Errorf("clients name themselves %s", agent)
	}
}
