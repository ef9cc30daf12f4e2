package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/publisher/kube"
)

// recorded is a cluster and its record, each a process of its own.
type recorded struct {
	t            *testing.T
	dir          string
	env          []string
	cluster, rec string // data directories
	client       kubernetes.Interface
}

// up starts the cluster.
func (r *recorded) up(args ...string) *process {
	r.t.Helper()
	p, err := startProcess(r.dir, r.env, append([]string{"up", "--nodes", "4", "--data", r.cluster, "-f", filepath.Join(r.dir, "agent.yaml"), "--pod-start", "0s", "--pod-stop", "0s"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.kill)
	if err := p.sees("export KUBECONFIG"); err != nil {
		r.t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(r.cluster, "kubeconfig"))
	if err == nil {
		r.client, err = kubernetes.NewForConfig(config)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// connect starts to record.
func (r *recorded) connect(args ...string) *process {
	r.t.Helper()
	p, err := startProcess(r.dir, r.env, append([]string{"connect", "--shadow", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig"), "--data", r.rec}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.kill)
	return p
}

// once records what has happened since.
func (r *recorded) once(args ...string) {
	r.t.Helper()
	p := r.connect(append(args, "--once")...)
	if code, err := p.end(0); err != nil || code != 0 {
		r.t.Fatalf("exit code %d, %v:\n%s", code, err, p.output())
	}
}

// rest waits until the DaemonSet is rolled out on the nodes that there are, but the
// control plane, and none of its pods is being deleted, and returns the uids of what the
// cluster has.
func (r *recorded) rest() (all []string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	nodes, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	for {
		ds, err := r.client.AppsV1().DaemonSets("default").Get(ctx, "agent", metav1.GetOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		pods, err := r.client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		st := ds.Status
		n := int32(len(nodes.Items) - 1)
		if st.ObservedGeneration == ds.Generation && st.DesiredNumberScheduled == n && st.NumberAvailable == n && st.UpdatedNumberScheduled == n && len(pods.Items) == int(n) {
			all = append(all, "DaemonSet "+string(ds.UID))
			for _, p := range pods.Items {
				all = append(all, "Pod "+string(p.UID))
			}
			break
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("no rest: %+v", st)
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, n := range nodes.Items {
		all = append(all, "Node "+string(n.UID))
	}
	slices.Sort(all)
	return all
}

// check holds the record against the cluster: it has what there is, nothing twice, and
// nothing that nobody believes. It returns the types of its notes, and what was told
// to be missing in a list.
func (r *recorded) check(want []string) (notes, missing []string) {
	r.t.Helper()
	subjects, err := events.NewSubjects(datadir.DefaultCluster)
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := blocks.Open(r.rec, subjects)
	if err != nil {
		r.t.Fatal(err)
	}
	is, told, screen := map[events.Ref]bool{}, map[string]events.Seq{}, events.NewScreen()
	alive := map[types.UID]bool{}
	for e, err := range log.Read(r.t.Context(), 0) {
		if err != nil {
			r.t.Fatal(err)
		}
		e = screen.Take(e)
		switch b := e.Body.(type) {
		case events.Object:
			id := fmt.Sprintf("%s at %d", b.Ref, kube.RVOf(b.Data))
			if at, twice := told[id]; twice {
				r.t.Errorf("#%d tells of %s, as #%d has", e.Seq, id, at)
			}
			told[id] = e.Seq
			if made := strings.HasSuffix(string(e.Type), events.VerbCreated); made == alive[b.UID] {
				r.t.Errorf("#%d %s: it was there before: %v", e.Seq, e.Type, alive[b.UID])
			}
			alive[b.UID], is[b.Ref] = true, true
		case events.Gone:
			if !alive[b.UID] {
				r.t.Errorf("#%d %s: it was not there", e.Seq, e.Type)
			}
			delete(is, b.Ref)
			delete(alive, b.UID)
			if e.Source == kube.SourceMissing {
				missing = append(missing, b.Ref.String())
			}
		case events.Note:
			notes = append(notes, e.Told.Type)
		case *events.Plan, events.Outcome, events.Unreadable:
			r.t.Errorf("#%d %s is in a record: %+v", e.Seq, e.Type, b)
		}
	}
	var got []string
	for ref := range is {
		if ref.Kind == events.DaemonSet || ref.Kind == events.Pod || ref.Kind == events.Node {
			got = append(got, string(ref.Kind)+" "+string(ref.UID))
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		r.t.Errorf("the record has\n%v\nand the cluster\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return notes, missing
}

// A record has all that was in the cluster, once and in order, whatever happened while
// nobody recorded: it is killed in the middle of a rollout and goes on where it was.
// Where it has to list again, it says so, and what is missing now.
func TestConnect(t *testing.T) {
	r := &recorded{t: t, dir: t.TempDir()}
	r.cluster, r.rec, r.env = filepath.Join(r.dir, "cluster"), filepath.Join(r.dir, "record"), append(os.Environ(), "XDG_RUNTIME_DIR="+r.dir)
	manifest := strings.Replace(killManifest(1), "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 0", 1)
	if err := os.WriteFile(filepath.Join(r.dir, "agent.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	up := r.up()
	r.rest()
	rec := r.connect()
	if err := rec.sees("the log has what the cluster has"); err != nil {
		t.Fatal(err)
	}
	r.looks()
	ctx := t.Context()
	log, closeLog := openRunning(t, ctx, r.rec)
	heard, err := log.Info(ctx)
	closeLog()
	if err != nil {
		t.Fatal(err)
	}
	r.setImage("agent:2")
	awaitEvent(t, r.rec, heard.Last, 3) // it hears of the rollout
	if code, err := rec.end(syscall.SIGKILL); err != nil || code != -1 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if err := r.client.CoreV1().Nodes().Delete(ctx, "node-0003", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.setImage("agent:3")
	want := r.rest()
	r.once()
	if _, missing := r.check(want); len(missing) > 0 {
		t.Errorf("told from a list: %v; the watch could go on", missing)
	}

	if code, err := up.end(syscall.SIGTERM); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v:\n%s", code, err, up.output())
	}
	r.up()
	if err := r.client.CoreV1().Nodes().Delete(ctx, "node-0004", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want = r.rest()
	r.once("--pods", "all") // which was not heard before
	notes, missing := r.check(want)
	if !slices.Contains(notes, kube.NoteRelisted) || !slices.ContainsFunc(missing, func(ref string) bool { return ref == "Node node-0004" }) {
		t.Errorf("notes %v, told from a list: %v", notes, missing)
	}
	r.refuses()
}

// looks sees that a page over a record that goes on offers nothing to be done, and
// refuses it to who asks all the same.
func (r *recorded) looks() {
	r.t.Helper()
	p, err := startProcess(r.dir, r.env, "ui", "--data", r.rec)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.kill)
	if err := p.sees("The link lets one browser in"); err != nil {
		r.t.Fatal(err)
	}
	link, err := url.Parse(regexp.MustCompile(`http://\S+`).FindString(p.output()))
	jar, err1 := cookiejar.New(nil)
	if err != nil || err1 != nil {
		r.t.Fatal(err, err1)
	}
	browser, origin := &http.Client{Jar: jar}, "http://"+link.Host
	ask := func(method, path, body string) (int, string) {
		r.t.Helper()
		q, err := http.NewRequestWithContext(r.t.Context(), method, origin+path, strings.NewReader(body))
		if err != nil {
			r.t.Fatal(err)
		}
		q.Header.Set("Origin", origin)
		q.Header.Set("Rollcall-Page", "1")
		a, err := browser.Do(q)
		if err != nil {
			r.t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		return a.StatusCode, string(text)
	}
	if code, out := ask(http.MethodGet, link.RequestURI(), ""); code != http.StatusOK {
		r.t.Fatalf("%d %s", code, out)
	}
	if code, out := ask(http.MethodGet, "/v1/info", ""); code != http.StatusOK || !strings.Contains(out, `"live":true,"writes":[]`) {
		r.t.Errorf("%d %s", code, out)
	}
	for _, do := range []string{"pause", "undo", "hold"} {
		body := fmt.Sprintf(`{"do":%q,"ds":"default/agent","hold":"page","reason":"a look"}`, do)
		if code, out := ask(http.MethodPost, "/v1/act", body); code != http.StatusBadRequest || !strings.Contains(out, "E-UI-ACTION") || !strings.Contains(out, "is the record of cluster") {
			r.t.Errorf("%s: %d %s", do, code, out)
		}
	}
	if code, err := p.end(syscall.SIGTERM); err != nil || code != 0 {
		r.t.Errorf("exit code %d, %v", code, err)
	}
}

func (r *recorded) setImage(image string) {
	r.t.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image)
	if _, err := r.client.AppsV1().DaemonSets("default").Patch(r.t.Context(), "agent", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// refuses sees what cannot be recorded be refused: a log of another cluster, one that
// is a cluster, and a cluster made of a record.
func (r *recorded) refuses() {
	r.t.Helper()
	pod := []string{"KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=1"} // without an account
	if code, out := runToEnd(r.t, r.t.TempDir(), pod, "connect", "--shadow"); code != events.ExitInput || strings.Count(out, "\n") != 1 || !strings.Contains(out, "E-KUBE-CONFIG") || !strings.Contains(out, "serviceaccount/token") {
		r.t.Errorf("in a pod without an account: exit code %d:\n%s", code, out)
	}
	copied, said := filepath.Join(r.dir, "copy.rollcall"), ""
	for _, args := range [][]string{{"export", copied, "--data", r.rec}, {"import", copied, "--data", filepath.Join(r.dir, "again")}} {
		var code int
		if code, said = runToEnd(r.t, r.dir, r.env, append([]string{"record"}, args...)...); code != 0 {
			r.t.Fatalf("%v: exit code %d:\n%s", args, code, said)
		}
	}
	if !strings.Contains(said, " connect --shadow --kubeconfig ") {
		r.t.Errorf("what goes on with the copy of a record:\n%s", said)
	}
	other := filepath.Join(r.dir, "other.yaml")
	if err := os.WriteFile(other, []byte("users: name\napiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	once := []string{"connect", "--shadow", "--once", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig"), "-n", "default,mistyped"}
	if code, out := runToEnd(r.t, r.dir, r.env, once...); code != 0 || !strings.Contains(out, "warning: the cluster has no namespace mistyped: ") || strings.Contains(out, "no namespace default") {
		r.t.Errorf("a namespace that is not there: exit code %d:\n%s", code, out)
	}
	unnamed, tokens := filepath.Join(r.dir, "unnamed.yaml"), filepath.Join(r.dir, "tokens.yaml")
	for path, change := range map[string]func(*clientcmdapi.Config){
		unnamed: func(c *clientcmdapi.Config) { c.CurrentContext = "" },
		tokens: func(c *clientcmdapi.Config) {
			for name := range c.AuthInfos {
				c.AuthInfos[name] = &clientcmdapi.AuthInfo{TokenFile: "/none/token"}
			}
		},
	} {
		given, err := clientcmd.LoadFromFile(filepath.Join(r.cluster, "kubeconfig"))
		if err != nil {
			r.t.Fatal(err)
		}
		change(given)
		if err := clientcmd.WriteToFile(*given, path); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"(" + unnamed + "): it has no current-context; give --context as one of rollcall-local", []string{"connect", "--shadow", "--kubeconfig", unnamed}},
		{"(" + tokens + "): open /none/token: no such file", []string{"connect", "--shadow", "--kubeconfig", tokens}},
		{"(" + other + "): it is no kubeconfig: its users is of the type string;", []string{"connect", "--shadow", "--kubeconfig", other}},
		{"E-KUBE-CLUSTER", []string{"up", "--data", r.rec, "--once"}},
		{"it is not said what may be done", []string{"connect", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig")}},
		{"more than one is given", []string{"connect", "--shadow", "--control", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig")}},
		{"E-CLI-FLAG", []string{"connect", "--control", "--any-version", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig")}},
		{"names no cluster", []string{"connect", "--shadow", "--kubeconfig", os.DevNull}},
		{"E-KUBE-CONFIG", []string{"connect", "--shadow", "--kubeconfig", filepath.Join(r.dir, "none")}},
		{"E-KUBE-CLUSTER", []string{"release", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig")}}, // and no log
		{"E-KUBE-CONFIG", []string{"connect", "--shadow"}},
		{`it has no context "other"; give --context as one of rollcall-local`, []string{"connect", "--shadow", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig"), "--context", "other"}},
	} {
		p, err := startProcess(r.dir, r.env, c.args...)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(p.kill)
		if code, err := p.end(0); err != nil || code != events.ExitInput || !strings.Contains(p.output(), c.says) {
			r.t.Errorf("%v: exit code %d, %v:\n%s", c.args, code, err, p.output())
		}
	}
}
