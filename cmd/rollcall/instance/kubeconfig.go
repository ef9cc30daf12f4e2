package instance

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/files"
)

// contextPrefix begins the name of every context, cluster and user that the
// program writes into a kubeconfig.
const contextPrefix = "rollcall-"

// access is what a client needs to use a Kubernetes API.
type access struct {
	name  string // of the context, the cluster and the user
	url   string
	ca    []byte
	token string

	origin Origin
}

// into adds the access to a kubeconfig and makes it the current one.
func (a access) into(c *api.Config) {
	c.Clusters[a.name] = &api.Cluster{Server: a.url, CertificateAuthorityData: a.ca,
		Extensions: map[string]runtime.Object{originName: a.origin.object()}}
	c.AuthInfos[a.name] = &api.AuthInfo{Token: a.token}
	c.Contexts[a.name] = &api.Context{Cluster: a.name, AuthInfo: a.name}
	c.CurrentContext = a.name
}

// written reports whether the program has written a kubeconfig, and nobody else
// has added to it.
func written(c *api.Config) bool {
	for name := range c.Contexts {
		_, cluster := c.Clusters[name]
		_, user := c.AuthInfos[name]
		return strings.HasPrefix(name, contextPrefix) && cluster && user && len(c.Contexts) == 1 && len(c.Clusters) == 1 && len(c.AuthInfos) == 1
	}
	return false
}

// Kubeconfigs are the files that tell how to reach the API.
type Kubeconfigs struct {
	file  string // that the user has named; empty: only the one of the data directory
	merge string // that the context is merged into; empty: none

	Origin Origin // what is said in all of them
}

// KubeconfigTargets returns what is written for --kubeconfig and
// --merge-kubeconfig, which merges into the file if there is one, else into
// what kubectl would write: the first file of $KUBECONFIG, or ~/.kube/config.
func KubeconfigTargets(file string, merge bool, variable, home string) Kubeconfigs {
	switch {
	case !merge:
		return Kubeconfigs{file: file}
	case file != "":
		return Kubeconfigs{merge: file}
	}
	for _, path := range filepath.SplitList(variable) {
		if path != "" {
			return Kubeconfigs{merge: path}
		}
	}
	return Kubeconfigs{merge: filepath.Join(home, clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)}
}

// Check refuses what cannot be written, or should not be.
func (k Kubeconfigs) Check() error {
	if k.merge != "" {
		_, err := loadKubeconfig(k.merge)
		return err
	}
	if k.file == "" {
		return nil
	}
	if i, err := os.Stat(filepath.Dir(k.file)); err != nil || !i.IsDir() {
		why := "it is no directory"
		if err != nil {
			why = files.Reason(err)
		}
		return kubeconfigError(k.file, "its directory cannot be used: "+why, "name a file in a directory that exists")
	}
	c, err := loadKubeconfig(k.file)
	if err != nil {
		return err
	}
	if c != nil && !written(c) {
		return kubeconfigError(k.file, "it holds what rollcall has not written", "name another file, or add to this one with --merge-kubeconfig")
	}
	return nil
}

func kubeconfigError(path, why, do string) error {
	return &events.Error{Code: "E-CLI-KUBECONFIG", What: "the kubeconfig cannot be written", Where: path, Why: why, Do: do, Exit: events.ExitInput}
}

// loadKubeconfig returns nil if there is no such file, or nothing in it.
func loadKubeconfig(path string) (*api.Config, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	var kind struct{ Kind string }
	if err == nil {
		err = yaml.Unmarshal(b, &kind)
	}
	if err == nil && kind.Kind != "Config" {
		// Read as a kubeconfig anything else is an empty one, and would be lost.
		err = fmt.Errorf("its kind is %q", kind.Kind)
	}
	var c *api.Config
	if err == nil {
		c, err = clientcmd.Load(b)
	}
	if err != nil {
		return nil, kubeconfigError(path, "there is a file that is no kubeconfig: "+Unreadable(err), "name another file")
	}
	return c, nil
}

// What decoders say of their own types, where a person wants to know what the file has.
var (
	ofNoKind    = regexp.MustCompile(`couldn't get version/kind; json parse error: .*`)
	ofOtherKind = regexp.MustCompile(`no kind "([^"]*)" is registered for version "([^"]*)" in scheme "[^"]*"`)
	ofOtherType = regexp.MustCompile(`json: cannot unmarshal (\w+) into Go struct field \w+\.(\S+) of type \S+`)
)

// Unreadable says of an error of clientcmd why a file is no kubeconfig.
func Unreadable(err error) string {
	text := ofNoKind.ReplaceAllString(files.Reason(err), "it is no kubeconfig: it has no apiVersion and kind")
	text = ofOtherKind.ReplaceAllString(text, "it is no kubeconfig: it is a $1 of $2")
	return ofOtherType.ReplaceAllString(text, "it is no kubeconfig: its $2 is of the type $1")
}

// write writes the kubeconfig of a directory and those that the user has asked
// for, and returns the one to use.
func (k Kubeconfigs) write(dir string, a access) (use string, err error) {
	a.origin = k.Origin
	use = filepath.Join(dir, datadir.KubeconfigFile)
	if k.file != "" {
		use = k.file
	}
	for _, path := range []string{filepath.Join(dir, datadir.KubeconfigFile), k.file} {
		if path == "" {
			continue
		}
		fresh := api.NewConfig()
		a.into(fresh)
		if err := saveKubeconfig(path, fresh); err != nil {
			return "", err
		}
	}
	if k.merge != "" {
		if err := mergeKubeconfig(k.merge, a); err != nil {
			return "", err
		}
	}
	return filepath.Abs(use)
}

// mergeKubeconfig adds the access to a kubeconfig and keeps everything else.
func mergeKubeconfig(path string, a access) error {
	// A link stays one: many keep their files elsewhere.
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	c, err := loadKubeconfig(path)
	if err != nil {
		return err
	}
	if c == nil {
		c = api.NewConfig()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return kubeconfigError(path, files.Reason(err), "name another file with --kubeconfig")
		}
	}
	a.into(c)
	return saveKubeconfig(path, c)
}

func saveKubeconfig(path string, c *api.Config) error {
	b, err := clientcmd.Write(*c)
	if err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	if err := files.Replace(path, b); err != nil {
		return kubeconfigError(path, files.Reason(err), "name another file with --kubeconfig")
	}
	return nil
}

// clusterInfo is a kubeconfig without a user, by which whoever joins a cluster
// knows it.
func clusterInfo(url string, ca []byte) (string, error) {
	c := api.NewConfig()
	c.Clusters[""] = &api.Cluster{Server: url, CertificateAuthorityData: ca}
	b, err := clientcmd.Write(*c)
	if err != nil {
		return "", fmt.Errorf("write a kubeconfig: %w", err)
	}
	return string(b), nil
}

// ExportLine is the line that points a shell's kubectl at a kubeconfig.
func ExportLine(path string) string {
	return "export " + clientcmd.RecommendedConfigPathEnvVar + "=" + QuoteShell(path)
}

// QuoteShell quotes what a shell would not take as it is.
func QuoteShell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@%,:=", r) || r > 127
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
