package instance

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
)

const foreignKubeconfig = `apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: prod, cluster: {server: "https://prod.example:6443", certificate-authority: certs/ca.crt}}
users:
- {name: me, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, interactiveMode: Never}}}
contexts:
- {name: prod, context: {cluster: prod, user: me, namespace: shop, extensions: [{name: x, extension: {y: z}}]}}
`

var testAccess = access{name: "rollcall-t", url: "https://127.0.0.1:1234", ca: []byte("CA"), token: "secret"}

// TestKubeconfigTargets holds where --kubeconfig and --merge-kubeconfig write.
func TestKubeconfigTargets(t *testing.T) {
	for _, c := range []struct {
		file     string
		merge    bool
		variable string
		want     Kubeconfigs
	}{
		{"", false, "a:b", Kubeconfigs{}},
		{"f", false, "a:b", Kubeconfigs{file: "f"}},
		{"f", true, "a:b", Kubeconfigs{merge: "f"}},
		{"", true, "a:b", Kubeconfigs{merge: "a"}},
		{"", true, ":b", Kubeconfigs{merge: "b"}},
		{"", true, "", Kubeconfigs{merge: "/home/u/.kube/config"}},
	} {
		if got := KubeconfigTargets(c.file, c.merge, c.variable, "/home/u"); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v gives %+v", c, got)
		}
	}
}

// TestKubeconfigCheck: nothing is written over what somebody else has written.
func TestKubeconfigCheck(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	if _, err := (Kubeconfigs{file: own}).write(dir, testAccess); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		k   Kubeconfigs
		err string
	}{
		{Kubeconfigs{}, ""},
		{Kubeconfigs{file: own}, ""},
		{Kubeconfigs{file: filepath.Join(dir, "new")}, ""},
		{Kubeconfigs{file: write("blank", " \n")}, ""},
		{Kubeconfigs{file: write("foreign", foreignKubeconfig)}, "it holds what rollcall has not written"},
		{Kubeconfigs{merge: filepath.Join(dir, "foreign")}, ""},
		{Kubeconfigs{file: write("other", "replicas: 3\n")}, `its kind is ""`},
		{Kubeconfigs{merge: filepath.Join(dir, "other")}, `its kind is ""`},
		{Kubeconfigs{file: write("binary", "\x00\x01")}, "no kubeconfig"},
		{Kubeconfigs{file: write("empty", "apiVersion: v1\nkind: Config\n")}, "has not written"},
		{Kubeconfigs{file: filepath.Join(dir, "none", "k")}, "its directory cannot be used: no such file or directory"},
		{Kubeconfigs{file: filepath.Join(own, "k")}, "its directory cannot be used"},
		{Kubeconfigs{file: dir}, "is a directory"},
		{Kubeconfigs{merge: filepath.Join(dir, "none", "k")}, ""},
	} {
		err := c.k.Check()
		var e *events.Error
		if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || !errors.As(err, &e) || e.Exit != events.ExitInput) {
			t.Errorf("%+v: %v, want %q", c.k, err, c.err)
		}
	}
}

// TestMergeKubeconfig: everything that was there is kept, links too.
func TestMergeKubeconfig(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, []byte(foreignKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{testAccess.url, "https://127.0.0.1:5678"} {
		a := testAccess
		a.url = url
		use, err := Kubeconfigs{merge: link}.write(dir, a)
		if err != nil || use != filepath.Join(dir, datadir.KubeconfigFile) {
			t.Fatalf("use %s, %v", use, err)
		}
		c, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.CurrentContext != a.name || len(c.Contexts) != 2 || c.Clusters[a.name].Server != url || c.AuthInfos[a.name].Token != a.token {
			t.Errorf("merged: %+v", c)
		}
		if c.Clusters["prod"].CertificateAuthority != "certs/ca.crt" || c.AuthInfos["me"].Exec.Command != "login" ||
			c.Contexts["prod"].Namespace != "shop" || c.Contexts["prod"].Extensions["x"] == nil {
			t.Errorf("lost: %+v %+v %+v", c.Clusters["prod"], c.AuthInfos["me"], c.Contexts["prod"])
		}
	}
	if i, err := os.Lstat(link); err != nil || i.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", i.Mode(), err)
	}
	fresh := filepath.Join(dir, ".kube", "config")
	if _, err := (Kubeconfigs{merge: fresh}).write(dir, testAccess); err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(fresh); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("a new one: %v, %v", i, err)
	}
}

// TestExportLine: a shell sets what was meant.
func TestExportLine(t *testing.T) {
	for path, want := range map[string]string{
		"/tmp/rollcall-1/kubeconfig": "export KUBECONFIG=/tmp/rollcall-1/kubeconfig",
		"/a b/k":                     "export KUBECONFIG='/a b/k'",
		"/it's/$HOME":                `export KUBECONFIG='/it'\''s/$HOME'`,
	} {
		if got := ExportLine(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
