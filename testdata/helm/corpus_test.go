package helm

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/clientcmd"
)

// corpus are installs as projects publish them: a file each, and beside some of
// them one of objects whose definitions the install brings.
const corpus = "../corpus/installs"

// installs returns the files of the corpus, and those of objects of what it defines.
func installs(t *testing.T) (all, objects []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in %s, %v", len(files), corpus, err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, ".objects.yaml") {
			objects = append(objects, f)
		} else {
			all = append(all, f)
		}
	}
	return all, objects
}

// TestInstalls applies the corpus in the ways in which people apply it, sees its
// DaemonSets roll out, deletes it, and sees that nothing is left.
func TestInstalls(t *testing.T) {
	c := newCluster(t)
	all, objects := installs(t)
	c.kubectl(t, "get", "clusterroles,services", "-A") // what a cluster has of itself is there
	before := c.everything(t)
	t.Run("kubectl", func(t *testing.T) {
		apply := func(files []string) {
			var ways [2][]string // on the client's side and the server's: every other file
			for i, f := range files {
				ways[i%2] = append(ways[i%2], f)
			}
			c.kubectl(t, append([]string{"apply"}, fileFlags(ways[0])...)...)
			c.kubectl(t, append([]string{"apply", "--server-side"}, fileFlags(ways[1])...)...)
		}
		apply(all)
		c.established(t)
		apply(objects)
		c.setsRolledOut(t)
		apply(all)                                                           // as people do when they are not sure
		remove := []string{"delete", "--timeout=180s", "--ignore-not-found"} // what its namespace took with it is gone
		c.kubectl(t, append(remove, fileFlags(objects)...)...)
		c.kubectl(t, append(remove, fileFlags(all)...)...)
		c.asBefore(t, before)
	})
	t.Run("helm", func(t *testing.T) {
		for i, f := range all {
			c.with(i).helm(t, "install", nameOf(f), chartOf(t, nameOf(f), f), "--create-namespace", "--timeout", "3m")
		}
		c.setsRolledOut(t)
		for i, f := range all {
			c.with(i).helm(t, "uninstall", nameOf(f), "--timeout", "3m")
		}
		c.kubectl(t, "delete", "namespace", namespace)
		c.asBefore(t, before)
	})
}

// with returns the cluster with Helm 3 or Helm 4: each has every other install.
func (c *cluster) with(i int) *cluster {
	other := *c
	other.version = []string{"3", "4"}[i%2]
	return &other
}

func nameOf(file string) string { return strings.TrimSuffix(filepath.Base(file), ".yaml") }

func fileFlags(files []string) (flags []string) {
	for _, f := range files {
		flags = append(flags, "-f", f)
	}
	return flags
}

// chartOf returns a chart whose one template is a file.
func chartOf(t *testing.T, name, file string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	about := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: 0.1.0\n", name)
	for path, data := range map[string]string{"Chart.yaml": about, "templates/install.yaml": string(text)} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// kubectl runs one command of the kubectl that is built in, which has to succeed.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), helmTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binary, append([]string{"kubectl", "--kubeconfig", c.kubeconfig}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// patience bounds each wait of a test: far more than any takes.
const patience = 3 * time.Minute

// await waits until what ok looks at is so. Last is what it saw when it was not.
func await(t *testing.T, ok func(context.Context) (last string, err error)) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var err error
		last, err = ok(ctx)
		return last == "", err
	})
	if err != nil {
		t.Errorf("%v: %s", err, last)
	}
}

// established waits until every definition is served. kubectl refuses to wait for a
// condition where there are none yet, so that the first of them is waited for before.
func (c *cluster) established(t *testing.T) {
	t.Helper()
	c.kubectl(t, "wait", "--for=jsonpath={.status.conditions[0].type}", "--timeout=180s", "crd", "--all")
	c.kubectl(t, "wait", "--for=condition=Established", "--timeout=180s", "crd", "--all")
}

// setsRolledOut waits until every DaemonSet has what it wants on every node.
func (c *cluster) setsRolledOut(t *testing.T) {
	t.Helper()
	n := 0
	await(t, func(ctx context.Context) (string, error) {
		sets, err := c.client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		n = len(sets.Items)
		for _, s := range sets.Items {
			if why := unfinished(s); why != "" {
				return s.Namespace + "/" + s.Name + ": " + why, nil
			}
		}
		return "", nil
	})
	if all, _ := installs(t); n < len(all) {
		t.Errorf("%d DaemonSets of %d installs", n, len(all))
	}
}

func unfinished(s appsv1.DaemonSet) string {
	got, want := s.Status, s.Status.DesiredNumberScheduled
	switch {
	case got.ObservedGeneration != s.Generation, got.UpdatedNumberScheduled != want, got.NumberAvailable != want:
		return fmt.Sprintf("%+v", got)
	case want == 0 && s.Spec.Template.Spec.Affinity == nil:
		return "it wants no pod"
	}
	return ""
}

// asBefore waits until the cluster has the objects that it had before, and no others.
func (c *cluster) asBefore(t *testing.T, before map[string]bool) {
	t.Helper()
	await(t, func(context.Context) (string, error) {
		now := c.everything(t)
		var left []string
		for o := range now {
			if !before[o] {
				left = append(left, "left "+o)
			}
		}
		for o := range before {
			if !now[o] {
				left = append(left, "gone "+o)
			}
		}
		slices.Sort(left)
		return strings.Join(left, ", "), nil
	})
}

// passing are resources whose objects come and go by themselves.
var passing = []string{"events", "leases"}

// everything returns the objects of every kind that is served.
func (c *cluster) everything(t *testing.T) map[string]bool {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := c.client.Discovery().ServerPreferredResources()
	if err != nil && len(lists) == 0 { // an aggregated API that is away is not listed
		t.Fatal(err)
	}
	resources, err := discovery.GroupVersionResources(discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for r := range maps.Keys(resources) {
		if slices.Contains(passing, r.Resource) {
			continue
		}
		c.objectsOf(t, client, r, all)
	}
	return all
}

func (c *cluster) objectsOf(t *testing.T, client metadata.Interface, r schema.GroupVersionResource, all map[string]bool) {
	t.Helper()
	list, err := client.Resource(r).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return // a definition that is just going
	}
	for _, o := range list.Items {
		all[r.GroupResource().String()+"/"+o.Namespace+"/"+o.Name] = true
	}
}
