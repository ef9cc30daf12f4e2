package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"rollcall/events/memlog"

	"rollcall/events"
)

// mouths are the logs of containers, as a test wants them: those of a life by
// the annotation "life" of the pod, which a test changes to have it read again.
type mouths struct {
	mu    sync.Mutex
	lives map[string]events.ContainerLog
	asked int
}

func (m *mouths) source(pod *corev1.Pod, _ string, previous bool) (events.ContainerLog, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	life := pod.Annotations["life"]
	if previous {
		life = pod.Annotations["before"]
	}
	log, ok := m.lives[life]
	if !ok {
		return events.ContainerLog{}, fmt.Errorf("no life %q", life)
	}
	log.Life = life
	return log, nil
}

func (m *mouths) say(life string, log events.ContainerLog) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lives[life] = log
}

func lines(text ...string) (ls []events.LogLine) {
	for _, t := range text {
		ls = append(ls, events.LogLine{At: time.Now(), Text: t})
	}
	return ls
}

// listener is a client that follows a log.
type listener struct {
	t     *testing.T
	body  io.ReadCloser
	lines *bufio.Scanner
}

func (l *listener) next() string {
	l.t.Helper()
	if !l.lines.Scan() {
		l.t.Fatalf("the log ended: %v", l.lines.Err())
	}
	return l.lines.Text()
}

// rest reads what is left until the server ends the answer.
func (l *listener) rest() (more []string) {
	for l.lines.Scan() {
		more = append(more, l.lines.Text())
	}
	return more
}

type speaker struct {
	t      *testing.T
	client kubernetes.Interface
	*mouths
}

func newSpeaker(t *testing.T) *speaker {
	t.Helper()
	m := &mouths{lives: map[string]events.ContainerLog{}}
	c := &cluster{subjects: testSubjects(t), held: &sync.Mutex{}}
	c.log = memlog.New(c.subjects, time.Now)
	c.objects = newTables(t, c.log, c.held)
	c.server = serve(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects, Logs: m.source})
	return &speaker{t, c.server.client, m}
}

// pod makes a pod, or changes it so that its log is read again.
func (s *speaker) pod(life, before string) {
	s.t.Helper()
	pods := s.client.CoreV1().Pods("default")
	p, err := pods.Get(s.t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		p = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
		p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
		p.Annotations = map[string]string{"life": life}
		_, err = pods.Create(s.t.Context(), p, metav1.CreateOptions{})
	} else {
		p.Annotations = map[string]string{"life": life, "before": before}
		_, err = pods.Update(s.t.Context(), p, metav1.UpdateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *speaker) follow(o *corev1.PodLogOptions) *listener {
	s.t.Helper()
	o.Follow = true
	body, err := s.client.CoreV1().Pods("default").GetLogs("p", o).Stream(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { body.Close() })
	return &listener{s.t, body, bufio.NewScanner(body)}
}

// finding U12: a log that is followed goes on until its container ends, and
// then ends with it, whatever comes after.
func TestFollowUntilTheEnd(t *testing.T) {
	s := newSpeaker(t)
	s.say("1", events.ContainerLog{Lines: lines("one", "two")})
	s.pod("1", "")
	l, short := s.follow(&corev1.PodLogOptions{TailLines: ptr.To[int64](1)}), s.follow(&corev1.PodLogOptions{LimitBytes: ptr.To[int64](6)})
	if got := l.next(); got != "two" {
		t.Errorf("the last line is %q", got)
	}
	if got := short.rest(); strings.Join(got, "|") != "one|tw" {
		t.Errorf("of six bytes: %q", got)
	}
	s.say("1", events.ContainerLog{Lines: lines("one", "two", "three")})
	s.pod("1", "x")
	if got := l.next(); got != "three" {
		t.Errorf("then comes %q", got)
	}
	// It ended and was started again before anybody looked.
	s.say("1", events.ContainerLog{Lines: lines("one", "two", "three", "bye"), Ended: true})
	s.say("2", events.ContainerLog{Lines: lines("hello")})
	s.pod("2", "1")
	if got := l.rest(); strings.Join(got, "|") != "bye" {
		t.Errorf("at the end: %q", got)
	}
	s.say("2", events.ContainerLog{Lines: lines("hello", "bye"), Ended: true})
	if got := s.follow(&corev1.PodLogOptions{}).rest(); strings.Join(got, "|") != "hello|bye" {
		t.Errorf("of one that ended: %q", got)
	}
}

// Lines that come by themselves are waited for, and nothing is asked for in
// between: not of a clock that stands still either.
func TestFollowSleeps(t *testing.T) {
	s := newSpeaker(t)
	s.say("1", events.ContainerLog{Lines: lines("one"), Next: time.Now()})
	s.pod("1", "")
	l := s.follow(&corev1.PodLogOptions{})
	l.next()
	s.say("1", events.ContainerLog{Lines: lines("one", "two"), Next: time.Now().Add(time.Hour)})
	s.pod("1", "x") // if the clock was asked before the line was there
	if got := l.next(); got != "two" {
		t.Errorf("then comes %q", got)
	}
	// A past instance: what is due was due long ago, and never comes.
	s.say("1", events.ContainerLog{Lines: lines("one", "two"), Next: time.Now().Add(-time.Hour)})
	s.pod("1", "y")
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	s.say("1", events.ContainerLog{Lines: lines("one", "two", "three"), Next: time.Now().Add(-time.Hour)})
	s.pod("1", "z")
	l.next()
	s.mu.Lock()
	if s.asked > asked+5 {
		t.Errorf("asked %d times for one line", s.asked-asked)
	}
	s.mu.Unlock()
}

// A log that is followed ends with its pod.
func TestFollowUntilThePodIsGone(t *testing.T) {
	s := newSpeaker(t)
	s.say("1", events.ContainerLog{Lines: lines("one")})
	s.pod("1", "")
	l := s.follow(&corev1.PodLogOptions{})
	l.next()
	if err := s.client.CoreV1().Pods("default").Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := l.rest(); len(got) > 0 {
		t.Errorf("after the end: %q", got)
	}
}

// finding c6, finding U12: what wants to reach into a container is answered at
// once, and a follow is not cut off as a request that takes too long.
func TestLongRunning(t *testing.T) {
	s := newSpeaker(t)
	s.say("1", events.ContainerLog{})
	s.pod("1", "")
	for _, sub := range []string{"exec", "attach", "portforward"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := s.client.CoreV1().RESTClient().(*rest.RESTClient).Post().Namespace("default").Resource("pods").Name("p").SubResource(sub).
			Param("container", "c").Param("command", "sh").Param("stdout", "true").Do(ctx).Error()
		cancel()
		if err == nil || !strings.Contains(err.Error(), "pod p does not have a host assigned") {
			t.Errorf("%s: %v", sub, err)
		}
	}
	for path, want := range map[string]bool{
		"/api/v1/namespaces/default/pods/p/log": true, "/api/v1/namespaces/default/pods/p/attach": true,
		"/api/v1/namespaces/default/pods/p": false, "/api/v1/pods": false,
	} {
		r, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		info, err := genericapiserver.NewRequestInfoResolver(&genericapiserver.Config{
			LegacyAPIGroupPrefixes: sets.NewString("api")}).NewRequestInfo(r)
		if err != nil {
			t.Fatal(err)
		}
		if longRunning(r, info) != want {
			t.Errorf("%s: long running is %v", path, !want)
		}
	}
}

// A container that is not named is the only one, or has to be.
func TestLogOfWhichContainer(t *testing.T) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "first"}}, Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}}}
	for container, want := range map[string]string{
		"":  "a container name must be specified for pod p, choose one of: [first a b]",
		"c": "container c is not valid for pod p",
	} {
		if _, err := containerOf(p, container); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", container, err, want)
		}
	}
	if name, err := containerOf(p, "first"); name != "first" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	p.Spec.Containers = p.Spec.Containers[:1]
	if name, err := containerOf(p, ""); name != "a" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

// What a container writes may be what is in its environment, also what comes from a
// ConfigMap: the source of a log is told the values, and a $ in one is no reference.
func TestLogsKnowTheEnvironment(t *testing.T) {
	c := &cluster{subjects: testSubjects(t), held: &sync.Mutex{}}
	c.log = memlog.New(c.subjects, time.Now)
	c.objects = newTables(t, c.log, c.held)
	c.server = serve(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects, Logs: func(pod *corev1.Pod, _ string, _ bool) (events.ContainerLog, error) {
		var text []string
		for _, e := range pod.Spec.Containers[0].Env {
			text = append(text, e.Name+"="+e.Value)
		}
		return events.ContainerLog{Lines: lines(text...), Ended: true}, nil
	}})
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: map[string]string{"colour": "red", "price": "$(5)"}}
	if _, err := c.server.client.CoreV1().ConfigMaps("default").Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"rollcall/simulated": "true"}}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("3")}}}
	if _, err := c.server.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	from := corev1.LocalObjectReference{Name: "m"}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i",
		EnvFrom: []corev1.EnvFromSource{{Prefix: "A_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: from}}},
		Env: []corev1.EnvVar{
			{Name: "B", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: from, Key: "colour"}}},
			{Name: "C", Value: "is $(B)"},
			{Name: "D", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
			{Name: "E", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
		}}}, NodeName: "n"}}
	if _, err := c.server.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := c.server.client.CoreV1().Pods("default").GetLogs("p", &corev1.PodLogOptions{}).DoRaw(t.Context())
	if want := "A_colour=red\nA_price=$$(5)\nB=red\nC=is red\nD=p\nE=3\nHOSTNAME=p\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
