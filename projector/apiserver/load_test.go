package apiserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/events/stream"
)

// The cluster under load: every node has a pod.
const (
	loadNodes    = 5000
	loadKubelets = 490 // watch the pods of their node, with protobuf as kubelets do
	loadConsoles = 10  // watch all pods, with JSON as kubectl does
	loadDrain    = 5 * time.Minute
)

// BenchmarkWatchers writes the status of pods while 500 clients watch, each over
// a connection of its own: beside the API as simulated kubelets do, and through
// it. An operation is a write. seen is the time from the call of a write until
// a watcher has decoded it, over all pairs of a write and a watcher of it;
// resident memory is that of server, log and clients together.
func BenchmarkWatchers(b *testing.B) {
	l := newLoad(b)
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("facts/writers=%d", writers), func(b *testing.B) { l.run(b, writers, 0, l.fact) })
	}
	b.Run("facts/rate=100", func(b *testing.B) { l.run(b, 8, 100, l.fact) })
	for _, writers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("API/writers=%d", writers), func(b *testing.B) { l.run(b, writers, 0, l.update) })
	}
}

// load is a cluster on an embedded NATS server, and those who watch it.
type load struct {
	cluster
	pods     []*corev1.Pod // as last written, pod i by one writer at a time
	clients  []kubernetes.Interface
	watchers []*loadWatcher
	seen     atomic.Int64 // events by all watchers
	again    atomic.Int64 // watches that the server ended and that went on
}

func newLoad(b *testing.B) *load {
	b.Helper()
	server, err := natsd.Start(b.Context(), natsd.Options{Dir: b.TempDir(), Durability: natsd.Relaxed, Cluster: "test"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	nc, err := server.Connect()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	l := &load{cluster: cluster{subjects: testSubjects(b)}}
	if l.log, err = stream.Open(b.Context(), nc, l.subjects, stream.Options{Create: true}); err != nil {
		b.Fatal(err)
	}
	l.objects = newTables(b, l.log, &sync.Mutex{})
	l.server = serve(b, Config{Log: l.log, Subjects: l.subjects, Objects: l.objects})
	empty := residentMB()
	l.fill(b)
	filled := residentMB()
	l.watch(b)
	b.Logf("resident: %.0f MB empty, %.0f MB with %d nodes and pods, %.0f MB with %d watchers",
		empty, filled, loadNodes, residentMB(), len(l.watchers))
	return l
}

// fill appends the nodes and their pods beside the API.
func (l *load) fill(b *testing.B) {
	b.Helper()
	const batch = 100
	var es []events.Entry
	for i := range loadNodes {
		p := loadPod(i)
		l.pods = append(l.pods, p)
		es = append(es, events.Entry{Event: loadEvent(b, events.Node, events.VerbCreated, loadNode(i))},
			events.Entry{Event: loadEvent(b, events.Pod, events.VerbCreated, p)})
		if len(es) < batch && i < loadNodes-1 {
			continue
		}
		seq, err := l.log.Append(b.Context(), es...)
		if err == nil {
			err = l.objects.Await(b.Context(), seq)
		}
		if err != nil {
			b.Fatal(err)
		}
		es = es[:0]
	}
	list, err := l.connect(b, runtime.ContentTypeProtobuf).CoreV1().Pods("").List(b.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != loadNodes {
		b.Fatalf("%d pods, %v", len(list.Items), err)
	}
	for i := range list.Items {
		l.pods[i].ResourceVersion = list.Items[i].ResourceVersion
	}
}

func loadName(kind string, i int) string { return fmt.Sprintf("%s-%05d", kind, i) }

func loadEvent(tb testing.TB, kind events.Kind, verb string, o metav1.Object) events.Event {
	body, err := events.NewObject(kind, o)
	if err != nil {
		tb.Error(err)
	}
	return events.Event{ID: ulid.Make(), Type: events.ObjectType(kind, verb), Source: "load", At: time.Now(), Body: body}
}

func loadNode(i int) *corev1.Node {
	name := loadName("node", i)
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.Now(),
		Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux"}},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue,
			LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(), Reason: "KubeletReady"}}}}
}

func loadPod(i int) *corev1.Pod {
	name, yes := loadName("pod", i), true
	limits := corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("100m"), corev1.ResourceMemory: quantity.MustParse("200Mi")}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), CreationTimestamp: metav1.Now(),
			Labels: map[string]string{"app": "agent", "controller-revision-hash": "5d8c9f7b6c", "pod-template-generation": "1"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "agent",
				Controller: &yes, BlockOwnerDeletion: &yes}}},
		Spec: corev1.PodSpec{NodeName: loadName("node", i), Containers: []corev1.Container{{Name: "main", Image: "registry.example/agent:1",
			Resources: corev1.ResourceRequirements{Limits: limits, Requests: limits},
			Env:       []corev1.EnvVar{{Name: "LEVEL", Value: "info"}, {Name: "TARGET", Value: "collector.monitoring:4317"}}}},
			Tolerations: []corev1.Toleration{{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
				{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "10.0.0.1", PodIP: "10.1.0.1",
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Image: "registry.example/agent:1", Ready: true}}},
	}
}

// flip turns a pod from ready to not ready or back.
func flip(p *corev1.Pod) *corev1.Pod {
	p = p.DeepCopy()
	c, s := &p.Status.Conditions[0], &p.Status.ContainerStatuses[0]
	s.Ready = !s.Ready
	c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.Now()
	if s.Ready {
		c.Status = corev1.ConditionTrue
	}
	return p
}

// fact writes pod i beside the API, and returns the revision.
func (l *load) fact(b *testing.B, _, i int) (uint64, error) {
	p := flip(l.pods[i])
	p.ResourceVersion = ""
	seq, err := l.log.Append(b.Context(), events.Entry{Event: loadEvent(b, events.Pod, events.VerbUpdated, p)})
	p.ResourceVersion = strconv.FormatUint(uint64(seq), 10)
	l.pods[i] = p
	return uint64(seq), err
}

// update writes pod i through the API by one of the kubelets.
func (l *load) update(b *testing.B, writer, i int) (uint64, error) {
	p, err := l.clients[writer].CoreV1().Pods("default").UpdateStatus(b.Context(), flip(l.pods[i]), metav1.UpdateOptions{})
	if err != nil {
		return 0, err
	}
	l.pods[i] = p
	return versioner.ObjectResourceVersion(p)
}

// connect returns a client with a connection of its own.
func (l *load) connect(b *testing.B, contentType string) kubernetes.Interface {
	b.Helper()
	c := byPort(l.server, l.server.config.Token)
	c.ContentType = contentType
	c.Dial = (&net.Dialer{}).DialContext // client-go shares connections between clients that have none
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// loadWatcher is one client that watches pods.
type loadWatcher struct {
	load     *load
	client   kubernetes.Interface
	selector string // of fields
	at       string // resourceVersion that it has
	got      []sight
}

// sight is that a watcher has seen a write.
type sight struct {
	rev uint64
	at  time.Time
}

// watch starts the watchers, and returns when all of them watch.
func (l *load) watch(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	b.Cleanup(func() { cancel(); running.Wait() })
	at := strconv.FormatUint(uint64(l.objects.Position()), 10)
	for i := range loadKubelets + loadConsoles {
		w := &loadWatcher{load: l, at: at}
		if i < loadKubelets {
			w.client, w.selector = l.connect(b, runtime.ContentTypeProtobuf), "spec.nodeName="+loadName("node", i)
			l.clients = append(l.clients, w.client)
		} else {
			w.client = l.connect(b, runtime.ContentTypeJSON)
		}
		first, err := w.open(ctx)
		if err != nil {
			b.Fatal(err)
		}
		l.watchers = append(l.watchers, w)
		running.Go(func() { w.follow(b, ctx, first) })
	}
}

func (w *loadWatcher) open(ctx context.Context) (watch.Interface, error) {
	return w.client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{FieldSelector: w.selector, ResourceVersion: w.at})
}

// follow takes events until ctx is done. A watch that the server ends goes on
// where it was.
func (w *loadWatcher) follow(b *testing.B, ctx context.Context, open watch.Interface) {
	for {
		for e := range open.ResultChan() {
			p, ok := e.Object.(*corev1.Pod)
			if ctx.Err() != nil {
				return // a watch that its client ends is told an error
			}
			if !ok {
				b.Errorf("a watch of %q from %s is told %v", w.selector, w.at, e.Object)
				return
			}
			rev, err := versioner.ObjectResourceVersion(p)
			if err != nil {
				b.Error(err)
			}
			w.at = p.ResourceVersion
			w.got = append(w.got, sight{rev, time.Now()})
			w.load.seen.Add(1) // after what it counts: drain reads that
		}
		if ctx.Err() != nil {
			return
		}
		w.load.again.Add(1)
		var err error
		if open, err = w.open(ctx); err != nil {
			if ctx.Err() == nil {
				b.Errorf("watch %q again from %s: %v", w.selector, w.at, err)
			}
			return
		}
	}
}

// call is one write.
type call struct {
	rev  uint64
	at   time.Time
	took time.Duration
}

// run makes b.N writes, as fast as they go or as many in a second as rate says.
func (l *load) run(b *testing.B, writers, rate int, write func(b *testing.B, writer, i int) (uint64, error)) {
	calls := make([]call, b.N)
	var want atomic.Int64
	var running sync.WaitGroup
	from := l.seen.Load()
	b.ResetTimer()
	for w := range writers {
		running.Go(func() {
			pace := newPace(rate, writers)
			defer pace.Stop()
			pod := w // each has its own
			for i := w; i < b.N; i += writers {
				if rate > 0 {
					<-pace.C
				}
				c := call{at: time.Now()}
				var err error
				if c.rev, err = write(b, w, pod); err != nil {
					b.Error(err)
					return
				}
				c.took = time.Since(c.at)
				calls[i] = c
				want.Add(loadConsoles)
				if pod < loadKubelets {
					want.Add(1)
				}
				if pod += writers; pod >= loadNodes {
					pod = w
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	l.drain(b, from+want.Load())
	l.report(b, calls)
}

// newPace ticks for each of some writers so that together they keep a rate.
func newPace(rate, writers int) *time.Ticker {
	return time.NewTicker(time.Second * time.Duration(writers) / time.Duration(max(rate, 1)))
}

// drain waits until the watchers have seen what was written.
func (l *load) drain(b *testing.B, want int64) {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(loadDrain); l.seen.Load() < want; <-tick.C {
		if b.Failed() || time.Now().After(end) {
			b.Fatalf("the watchers have seen %d of %d", l.seen.Load(), want)
		}
	}
}

func (l *load) report(b *testing.B, calls []call) {
	b.Helper()
	written := make(map[uint64]time.Time, len(calls))
	took := make([]time.Duration, 0, len(calls))
	for _, c := range calls {
		written[c.rev] = c.at
		took = append(took, c.took)
	}
	var seen []time.Duration
	for _, w := range l.watchers {
		for _, s := range w.got {
			at, ok := written[s.rev]
			if !ok {
				b.Errorf("a watch of %q has seen revision %d, which nobody wrote", w.selector, s.rev)
			}
			seen = append(seen, s.at.Sub(at))
		}
		w.got = w.got[:0]
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.ReportMetric(quantile(took, 0.5), "write-p50-ms")
	b.ReportMetric(quantile(took, 0.99), "write-p99-ms")
	b.ReportMetric(quantile(seen, 0.5), "seen-p50-ms")
	b.ReportMetric(quantile(seen, 0.99), "seen-p99-ms")
	b.ReportMetric(float64(l.again.Swap(0)), "watches-ended")
	b.ReportMetric(residentMB(), "resident-MB")
}

// quantile returns the q-th of times in milliseconds.
func quantile(times []time.Duration, q float64) float64 {
	slices.Sort(times)
	return times[int(q*float64(len(times)-1))].Seconds() * 1000
}

// residentMB returns the resident memory of this process; 0 where the system
// does not tell it.
func residentMB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kB, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kB / 1024
}
