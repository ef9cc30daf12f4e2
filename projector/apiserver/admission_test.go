package apiserver

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

func podNamed(name string, change func(*corev1.PodSpec)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func daemonSetOf(name string, spec corev1.PodSpec) *appsv1.DaemonSet {
	labels := map[string]string{"app": name}
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}}
}

// Privileged containers and host processes are taken, as by every cluster that
// an installer has made.
//
// finding B1, finding c1
func TestPrivilegedContainers(t *testing.T) {
	c := newCluster(t)
	privileged := podNamed("", nil).Spec
	privileged.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
	privileged.HostPID, privileged.HostNetwork, privileged.HostIPC = true, true, true
	process := podNamed("", nil).Spec
	process.HostNetwork, process.NodeSelector = true, map[string]string{corev1.LabelOSStable: "windows"}
	process.SecurityContext = &corev1.PodSecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{
		HostProcess: ptr.To(true), RunAsUserName: ptr.To(`NT AUTHORITY\SYSTEM`)}}
	for name, spec := range map[string]corev1.PodSpec{"privileged": privileged, "process": process} {
		if _, err := c.client.AppsV1().DaemonSets("default").Create(t.Context(), daemonSetOf(name, spec), metav1.CreateOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A pod gets the account and the token that Kubernetes gives it, and one whose
// account is not there is refused in Kubernetes' words.
//
// finding c4
func TestAccountsOfPods(t *testing.T) {
	c := newCluster(t)
	pods := c.client.CoreV1().Pods("default")
	token := podNamed("token", func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}}}
	})
	p, err := pods.Create(t.Context(), token, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Spec.ServiceAccountName != defaultAccount || len(p.Spec.Volumes) != 2 || len(p.Spec.Containers[0].VolumeMounts) != 1 {
		t.Errorf("account %q, volumes %v, mounts %v", p.Spec.ServiceAccountName, p.Spec.Volumes, p.Spec.Containers[0].VolumeMounts)
	}
	_, err = pods.Create(t.Context(), podNamed("lost", func(s *corev1.PodSpec) { s.ServiceAccountName = "nobody" }), metav1.CreateOptions{})
	const want = `pods "lost" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found`
	if err == nil || err.Error() != want {
		t.Errorf("a pod of an account that is not there: %v, want %s", err, want)
	}
}

// The labels of a namespace say what its pods may do.
//
// finding c12
func TestPodSecurity(t *testing.T) {
	c := newCluster(t)
	config := c.server.Loopback()
	warnings := &warned{}
	config.WarningHandler = warnings
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tight", Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods("tight").Create(t.Context(), withNamespace(podNamed("x", nil), "tight"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest"`) {
		t.Errorf("a pod that may do too much: %v", err)
	}
	if _, err := client.AppsV1().DaemonSets("tight").Create(t.Context(), daemonSetOf("d", podNamed("", nil).Spec), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "would violate PodSecurity") {
		t.Errorf("warnings of a DaemonSet: %q", *warnings)
	}
}

// warned keeps the warnings of answers.
type warned []string

// HandleWarningHeader implements rest.WarningHandler.
func (w *warned) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

func withNamespace(p *corev1.Pod, ns string) *corev1.Pod {
	p.Namespace = ns
	return p
}

// A pod of a runtime class that is not there is refused; one of a class that is
// gets its overhead.
//
// finding c12
func TestRuntimeClasses(t *testing.T) {
	c := newCluster(t)
	sandboxed := func(name string) *corev1.Pod {
		return podNamed(name, func(s *corev1.PodSpec) { s.RuntimeClassName = ptr.To("sandbox") })
	}
	_, err := c.client.CoreV1().Pods("default").Create(t.Context(), sandboxed("early"), metav1.CreateOptions{})
	const want = `pods "early" is forbidden: pod rejected: RuntimeClass "sandbox" not found`
	if err == nil || err.Error() != want {
		t.Errorf("a pod of a class that is not there: %v, want %s", err, want)
	}
	class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "sandbox"}, Handler: "sandbox",
		Overhead: &nodev1.Overhead{PodFixed: corev1.ResourceList{corev1.ResourceMemory: quantity.MustParse("120Mi")}}}
	if _, err := c.client.NodeV1().RuntimeClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := c.client.CoreV1().Pods("default").Create(t.Context(), sandboxed("late"), metav1.CreateOptions{})
	if err != nil || p.Spec.Overhead.Memory().String() != "120Mi" {
		t.Errorf("overhead %v, %v", p.Spec.Overhead, err)
	}
}

// Pods that are made beside the API are admitted by the same rules, in the
// words that the DaemonSet controller of Kubernetes is refused in; who makes a
// pod twice makes the same pod.
//
// D12, finding c4, finding c12, finding c18
func TestPodsBesideTheAPI(t *testing.T) {
	c := newCluster(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tight", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}}}
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	made := func(ns string, change func(*corev1.PodSpec)) *corev1.Pod {
		p := withNamespace(podNamed("agent-abcde", change), ns)
		p.GenerateName, p.UID = "agent-", "4c1ff4de"
		return p
	}
	first, second := made("default", nil), made("default", nil)
	for _, p := range []*corev1.Pod{first, second} {
		if err := c.server.AdmitPod(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	v := first.Spec.Volumes
	if first.Name != "agent-abcde" || first.UID != "4c1ff4de" || first.Spec.ServiceAccountName != defaultAccount || len(v) != 1 ||
		first.Spec.Containers[0].VolumeMounts[0].Name != v[0].Name || v[0].Name != second.Spec.Volumes[0].Name {
		t.Errorf("admitted %+v, then %+v", first, second)
	}
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 7}
	if _, err := c.client.SchedulingV1().PriorityClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	high := made("default", func(s *corev1.PodSpec) { s.PriorityClassName = "high" })
	if err := c.server.AdmitPod(t.Context(), high); err != nil || *high.Spec.Priority != 7 || *high.Spec.PreemptionPolicy != corev1.PreemptLowerPriority || *first.Spec.Priority != 0 {
		t.Errorf("%v: priority %v, without a class %v", err, high.Spec.Priority, first.Spec.Priority)
	}
	if err := c.server.AdmitPod(t.Context(), made("nowhere", nil)); !apierrors.IsNotFound(err) {
		t.Errorf("a pod in a namespace that is not there: %v", err)
	}
	for _, test := range []struct {
		ns     string
		change func(*corev1.PodSpec)
		want   string
	}{
		{"default", func(s *corev1.PodSpec) { s.ServiceAccountName = "late" },
			`pods "agent-" is forbidden: error looking up service account default/late: serviceaccount "late" not found`},
		{"default", func(s *corev1.PodSpec) { s.PriorityClassName = "none" }, `pods "agent-" is forbidden: no PriorityClass with name none was found`},
		{"default", func(s *corev1.PodSpec) { s.RuntimeClassName = ptr.To("none") }, `pods "agent-" is forbidden: pod rejected: RuntimeClass "none" not found`},
		{"tight", func(s *corev1.PodSpec) { s.HostNetwork = true }, `pods "agent-abcde" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`},
	} {
		err := c.server.AdmitPod(t.Context(), made(test.ns, test.change))
		if err == nil || err.Error() != test.want || !apierrors.IsForbidden(err) {
			t.Errorf("refused with %v, want %s", err, test.want)
		}
	}
}

// revision is a cluster and a DaemonSet, of whose one revision pods are made.
type revision struct {
	*cluster
	t        *testing.T
	template *corev1.PodTemplateSpec
}

// made is a pod of a node as the executor makes it, and then changed.
func (r *revision) made(node string, change func(*corev1.Pod)) *corev1.Pod {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "default", UID: "ds"}}
	do := events.Command{Do: events.CreatePod, Node: node, Revision: "r1"}
	do.Key, do.UID = events.Key{Namespace: "default", Name: "agent-" + node}, types.UID("uid of "+node)
	p := daemonpod.New(ds, r.template, do, time.Unix(1, 0))
	if change != nil {
		change(p)
	}
	return p
}

// check admits a pod and compares it with what the plugins alone make of it.
func (r *revision) check(what, node string, known bool, change func(*corev1.Pod)) {
	r.t.Helper()
	a := r.server.admission
	got, want, probe := r.made(node, change), r.made(node, change), r.made(node, change)
	if had := a.alike.fill(probe, rulesOf(r.objects)); had != known {
		r.t.Errorf("%s: remembered %v, want %v", what, had, known)
	}
	err, bad := r.server.AdmitPod(r.t.Context(), got), a.ask(r.t.Context(), want)
	if (err == nil) != (bad == nil) || err == nil && !reflect.DeepEqual(got, want) {
		r.t.Errorf("%s: %+v, %v\nwant %+v, %v", what, got, err, want, bad)
	}
}

// What admission makes of a pod it makes of all pods of its revision, byte for
// byte, and asks its plugins once for them, until something changes that they read.
func TestPodsOfOneRevision(t *testing.T) {
	r := &revision{newCluster(t), t, &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}
	daemonpod.SetDefaults(r.template)
	r.check("the first", "a", false, nil)
	r.check("the second", "b", true, nil)
	r.check("another template", "b", false, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "j" })
	r.check("the first template again", "b", false, nil)
	r.check("an annotation", "c", false, func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} })
	r.check("a pod with a node", "c", false, func(p *corev1.Pod) { p.Spec.NodeName = "c" })
	r.check("as before", "c", false, nil)
	r.check("as before", "d", true, nil)
	for kind, change := range map[string]func() error{
		"account": func() error {
			_, err := r.client.CoreV1().ServiceAccounts("default").Patch(t.Context(), "default", types.MergePatchType, []byte(`{"imagePullSecrets":[{"name":"x"}]}`), metav1.PatchOptions{})
			return err
		},
		"class": func() error {
			_, err := r.client.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "p"}, GlobalDefault: true, Value: 7}, metav1.CreateOptions{})
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		r.check("another "+kind, "e", false, nil)
		r.check("another "+kind+", the second", "f", true, nil)
	}
	h := newWebhook(t, allow)
	r.validate(t, h.validating("each", nil))
	r.check("a webhook", "i", false, nil)
	r.check("a webhook, the second", "j", false, nil)
	if err := r.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), "each", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.check("no webhook", "k", false, nil)
	r.check("no webhook, the second", "l", true, nil)
	quotas := r.client.CoreV1().ResourceQuotas("default")
	if _, err := quotas.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !r.server.admission.hooked.pods("default") || r.server.admission.hooked.pods("kube-system") {
		t.Error("a quota counts in its namespace alone")
	}
	if _, err := r.client.CoreV1().Namespaces().Patch(t.Context(), "default", types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	r.check("a strict namespace", "g", false, nil)
	if err := r.server.AdmitPod(t.Context(), r.made("h", nil)); !apierrors.IsForbidden(err) {
		t.Errorf("admitted with %v", err)
	}
}

func BenchmarkAdmitPod(b *testing.B) {
	c := newCluster(b)
	for b.Loop() {
		if err := c.server.AdmitPod(b.Context(), podNamed("p", nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// A refusal is of the cluster as the log has it: what was written before it,
// and has not come through yet, counts.
func TestRefusalsAreOfTheLog(t *testing.T) {
	c := newCluster(t)
	c.held.Lock()
	body, err := events.NewObject(events.ServiceAccount, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "late", UID: "u"}})
	if err != nil {
		t.Fatal(err)
	}
	c.append(t, "serviceaccount.created", body)
	result := make(chan error, 1)
	go func() {
		result <- c.server.AdmitPod(t.Context(), podNamed("p", func(s *corev1.PodSpec) { s.ServiceAccountName = "late" }))
	}()
	c.held.Unlock()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// Every plugin that kube-apiserver has on by default runs here, or docs/API.md
// names it among those that are left out: a new Kubernetes shows what is new.
//
// finding c4, finding c12
func TestDefaultPlugins(t *testing.T) {
	doc, err := os.ReadFile("../../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]bool{}
	for _, p := range admissionPlugins {
		here[p.name] = true
	}
	upstream := defaultPlugins(t)
	if len(upstream) < 20 {
		t.Fatalf("only %d plugins found: %v", len(upstream), upstream)
	}
	for _, name := range upstream {
		row := strings.Contains(string(doc), "\n| "+name+" |")
		if here[name] == row {
			t.Errorf("%s: runs here %v, is named as left out %v", name, here[name], row)
		}
		delete(here, name)
	}
	delete(here, "NodeRestriction") // as by kubeadm
	for name := range here {
		t.Errorf("%s is not on by default", name)
	}
}

// defaultPlugins reads the source of kube-apiserver for the names of the
// plugins that are on by default.
func defaultPlugins(t *testing.T) []string {
	t.Helper()
	dirs := map[string]string{}
	for _, module := range []string{"k8s.io/kubernetes", "k8s.io/apiserver"} {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatal(err)
		}
		dirs[module] = strings.TrimSpace(string(out))
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, filepath.Join(dirs["k8s.io/kubernetes"], "pkg/kubeapiserver/options/plugins.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string]string{}
	for _, i := range file.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imports[name] = path
	}
	var names []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "DefaultOffAdmissionPlugins" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, arg := range call.Args {
				if sel, ok := arg.(*ast.SelectorExpr); ok && sel.Sel.Name == "PluginName" {
					path := imports[sel.X.(*ast.Ident).Name]
					module := strings.Join(strings.SplitN(path, "/", 3)[:2], "/")
					names = append(names, pluginName(t, filepath.Join(dirs[module], strings.TrimPrefix(path, module))))
				}
			}
			return true
		})
	}
	slices.Sort(names)
	return names
}

// pluginName returns the constant PluginName of the package in a directory.
func pluginName(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if o := f.Scope.Lookup("PluginName"); o != nil {
			spec := o.Decl.(*ast.ValueSpec)
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			return name
		}
	}
	t.Fatalf("%s names no plugin", dir)
	return ""
}
