package kube

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// lists answers as the API server of a large cluster in which nothing happens: it has
// lists, page by page, and takes what is written. Making such a cluster by its API takes
// longer than taking it over, by far.
type lists struct {
	*testing.T
	mu      sync.Mutex
	all     map[string][]runtime.Object // by path of the resource
	like    map[string]runtime.Object   // an empty list of each
	written map[string]runtime.Object   // by path
	puts    int                         // of statuses
	rv      int
}

// largeCluster returns a cluster of nodes with a pod of each DaemonSet, as they are after
// kube-controller-manager and kubelets have been at work.
func largeCluster(t *testing.T, nodes, sets int) *lists {
	l := &lists{T: t, all: map[string][]runtime.Object{}, like: map[string]runtime.Object{}, written: map[string]runtime.Object{}, rv: 1000}
	for at, list := range map[string]runtime.Object{"/apis/scheduling.k8s.io/v1/priorityclasses": &schedulingv1.PriorityClassList{}, "/api/v1/namespaces": &corev1.NamespaceList{}, "/api/v1/nodes": &corev1.NodeList{},
		"/apis/apps/v1/daemonsets": &appsv1.DaemonSetList{}, "/apis/apps/v1/controllerrevisions": &appsv1.ControllerRevisionList{}, "/apis/apps/v1/namespaces/kube-system/controllerrevisions": &appsv1.ControllerRevisionList{},
		"/api/v1/pods": &corev1.PodList{}, "/api/v1/events": &corev1.EventList{}} {
		l.like[at] = list
	}
	for _, name := range []string{metav1.NamespaceSystem, space} {
		ns := &corev1.Namespace{ObjectMeta: l.meta(name, "kubectl"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
		l.add("/api/v1/namespaces", ns)
		l.written["/api/v1/namespaces/"+name] = ns
	}
	for i := range nodes {
		n := &corev1.Node{ObjectMeta: l.meta(fmt.Sprintf("n%04d", i), "kubelet"), Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}}}
		n.Labels = map[string]string{"kubernetes.io/hostname": n.Name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": fmt.Sprint("z", i%3)}
		l.add("/api/v1/nodes", n)
	}
	for i := range sets {
		l.rolledOut(fmt.Sprint("agent-", i), nodes)
	}
	return l
}

// meta is that of an object which somebody has written in two steps.
func (l *lists) meta(name string, by ...string) metav1.ObjectMeta {
	l.rv++
	m := metav1.ObjectMeta{Name: name, UID: types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", l.rv)), ResourceVersion: strconv.Itoa(l.rv), CreationTimestamp: metav1.Unix(1.7e9, 0)}
	for _, manager := range by {
		at, fields := metav1.Unix(1.7e9, 0), `{"f:metadata":{"f:labels":{".":{},"f:app":{},"f:controller-revision-hash":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"V0\"}":{".":{},"f:name":{},"f:value":{}}}}}}}`
		m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &at, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)})
	}
	return m
}

func (l *lists) add(at string, o runtime.Object) { l.all[at] = append(l.all[at], o) }

// rolledOut adds a DaemonSet with its revision and its pods.
func (l *lists) rolledOut(name string, nodes int) {
	const hash = "5c8nlg2pkb"
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: l.meta(name, "kubectl"), Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}}}
	ds.Namespace, ds.Labels, ds.Generation, ds.Annotations = space, labels, 1, map[string]string{appsv1.DeprecatedTemplateGeneration: "1"}
	for _, c := range []string{"main", "side"} {
		container := corev1.Container{Name: c, Image: c + ":1", ImagePullPolicy: corev1.PullIfNotPresent, TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile}
		for i := range 12 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprint("V", i), Value: fmt.Sprintf("what variable %d is set to", i)})
		}
		ds.Spec.Template.Spec.Containers = append(ds.Spec.Template.Spec.Containers, container)
	}
	n := int32(nodes)
	ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: n, CurrentNumberScheduled: n, UpdatedNumberScheduled: n, NumberReady: n, NumberAvailable: n}
	l.add("/apis/apps/v1/daemonsets", ds)
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
	r := &appsv1.ControllerRevision{ObjectMeta: l.meta(name+"-"+hash, "kube-controller-manager"), Revision: 1}
	r.Namespace, r.Labels, r.OwnerReferences = space, map[string]string{"app": name, appsv1.DefaultDaemonSetUniqueLabelKey: hash}, owner
	r.Data.Raw = l.patch(&ds.Spec.Template)
	l.add("/apis/apps/v1/controllerrevisions", r)
	for i := range nodes {
		l.add("/api/v1/pods", l.pod(ds, owner, hash, i))
	}
}

// patch is what Kubernetes keeps of a template.
func (l *lists) patch(t *corev1.PodTemplateSpec) []byte {
	raw, err := json.Marshal(t)
	fields := map[string]any{}
	if err == nil {
		err = json.Unmarshal(raw, &fields)
	}
	if err == nil {
		fields["$patch"] = "replace"
		raw, err = json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
	}
	if err != nil {
		l.Fatal(err)
	}
	return raw
}

// pod is that of a DaemonSet on a node.
func (l *lists) pod(ds *appsv1.DaemonSet, owner []metav1.OwnerReference, hash string, node int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: l.meta(fmt.Sprintf("%s-%05d", ds.Name, node), "kube-controller-manager", "kubelet"), Spec: ds.Spec.Template.Spec}
	p.Namespace, p.GenerateName, p.OwnerReferences = space, ds.Name+"-", owner
	p.Labels = map[string]string{"app": ds.Name, "pod-template-generation": "1", appsv1.DefaultDaemonSetUniqueLabelKey: hash}
	p.Spec.NodeName = fmt.Sprintf("n%04d", node)
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
		{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{p.Spec.NodeName}}}}}}}}
	for _, taint := range []string{"not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"} {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "node.kubernetes.io/" + taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	at, yes := metav1.Unix(1.7e9, 0), true
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &at, HostIP: "10.0.0.1", PodIP: "10.1.0.1", QOSClass: corev1.PodQOSBestEffort}
	for _, c := range []corev1.PodConditionType{"PodReadyToStartContainers", corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	for _, c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: "sha256:" + strings.Repeat("0", 64), ContainerID: "containerd://" + strings.Repeat("1", 64), Ready: true, Started: &yes,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}})
	}
	return p
}

// serve serves the lists, and returns how they are reached.
func (l *lists) serve() *rest.Config {
	s := httptest.NewUnstartedServer(l)
	s.EnableHTTP2 = true
	s.StartTLS()
	l.Cleanup(s.Close)
	return &rest.Config{Host: s.URL, BearerToken: "any", TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})}}
}

// ServeHTTP implements http.Handler.
func (l *lists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := r.URL.Path
	switch {
	case at == "/version":
		fmt.Fprint(w, `{"gitVersion":"v1.36.3"}`)
	case r.URL.Query().Get("watch") == "true":
		form, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
		w.Header().Set("Content-Type", form)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case r.Method == http.MethodGet && l.like[at] != nil:
		l.answer(w, r, l.page(at, r))
	default:
		l.object(w, r)
	}
}

// page is a part of a list.
func (l *lists) page(at string, r *http.Request) runtime.Object {
	items := l.all[at]
	from, _ := strconv.Atoi(r.URL.Query().Get("continue")) // as it was given out
	to := len(items)
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 0 {
		to = min(to, from+limit)
	}
	list := reflect.New(reflect.TypeOf(l.like[at]).Elem()).Interface().(runtime.Object)
	is, err := meta.ListAccessor(list)
	if err == nil {
		err = meta.SetList(list, items[from:to])
	}
	if err != nil {
		l.Error(err)
	}
	is.SetResourceVersion("900000")
	if to < len(items) {
		is.SetContinue(strconv.Itoa(to))
	}
	return list
}

// object answers for one object, which may be written.
func (l *lists) object(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := strings.TrimSuffix(r.URL.Path, "/status")
	switch r.Method {
	case http.MethodPost, http.MethodPut:
		body, err := io.ReadAll(r.Body)
		var o runtime.Object
		if err == nil {
			o, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		}
		if err != nil {
			l.Error(err)
			return
		}
		if review, ok := o.(*authorizationv1.SelfSubjectAccessReview); ok {
			review.Status.Allowed = true
		} else if m, err := meta.Accessor(o); err == nil {
			l.rv++
			m.SetResourceVersion(strconv.Itoa(900000 + l.rv))
			if r.Method == http.MethodPost {
				m.SetUID(types.UID(m.GetName()))
				m.SetCreationTimestamp(metav1.Now())
				at = path.Join(at, m.GetName())
			}
			l.written[at] = o
		}
		if at != r.URL.Path && r.Method == http.MethodPut {
			l.puts++
		}
		l.answer(w, r, o)
		return
	case http.MethodDelete:
		delete(l.written, at)
	}
	if o := l.written[at]; o != nil {
		l.answer(w, r, o)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
}

// answer writes an object in the form that is asked for.
func (l *lists) answer(w http.ResponseWriter, r *http.Request, o runtime.Object) {
	form := runtime.ContentTypeJSON
	if strings.Contains(r.Header.Get("Accept"), runtime.ContentTypeProtobuf) {
		form = runtime.ContentTypeProtobuf
	}
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), form)
	w.Header().Set("Content-Type", form)
	raw, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, schema.GroupVersions(scheme.Scheme.PrioritizedVersionsAllGroups())), o)
	if err == nil {
		_, err = w.Write(raw)
	}
	if err != nil && r.Context().Err() == nil {
		l.Error(err)
	}
}
