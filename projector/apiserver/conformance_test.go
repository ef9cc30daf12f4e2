package apiserver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	featuregatetesting "k8s.io/component-base/featuregate/testing"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector/table"
)

// exampleScheme holds the kind of object that upstream's suite stores.
var exampleScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(s))
	utilruntime.Must(examplev1.AddToScheme(s))
	return s
}()

var exampleCodec = serializer.NewCodecFactory(exampleScheme).LegacyCodec(examplev1.SchemeGroupVersion)

// bench is a store over a JetStream log of its own, and the cache above it if
// the suite is run through one.
type bench struct {
	storage.Interface
	raw     *store
	log     events.Log
	objects *table.Tables
	cache   *cacher.Cacher
}

// benches makes stores on one NATS server.
type benches struct {
	server *natsd.Server
	n      atomic.Int64
}

func newBenches(t *testing.T) *benches {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Options{Dir: t.TempDir(), Durability: natsd.Relaxed, Cluster: "suite"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return &benches{server: server}
}

func (b *benches) raw(t *testing.T) *bench {
	t.Helper()
	nc, err := b.server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	subjects, err := events.NewSubjects(fmt.Sprintf("suite-%d", b.n.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	log, err := stream.Open(t.Context(), nc, subjects, stream.Options{Create: true, MemoryStorage: true})
	if err != nil {
		t.Fatal(err)
	}
	objects := newTables(t, log, &sync.Mutex{})
	s := &store{codec: codec{scheme: exampleScheme, stored: examplev1.SchemeGroupVersion.WithKind("Pod")}, prefix: "/pods/",
		table: objects.Of(events.Pod), backend: &logBackend{&link{log: log, objects: objects}, subjects, believed},
		newFunc: func() runtime.Object { return &example.Pod{} }, unreadable: &unreadables{}}
	x := &bench{Interface: s, raw: s, log: log, objects: objects}
	x.increase(t.Context(), t) // no revision of a list is 0: etcd begins at 1
	return x
}

// believed doubts nothing: the objects of upstream's suite have no uid, and some no
// namespace.
func believed(events.Event) (code, why string) { return "", "" }

// cached is a store with upstream's watch cache above it.
func (b *benches) cached(t *testing.T, clusterScoped bool) *bench {
	t.Helper()
	announceProgress()
	x := b.raw(t)
	keyOf := storage.NamespaceKeyFunc
	if clusterScoped {
		keyOf = storage.NoNamespaceKeyFunc
	}
	nodeName := func(o any) string { return o.(*example.Pod).Spec.NodeName }
	c, err := cacher.NewCacherFromConfig(cacher.Config{Storage: x.raw, Versioner: versioner,
		GroupResource: schema.GroupResource{Resource: "pods"}, EventsHistoryWindow: cacher.DefaultEventFreshDuration,
		ResourcePrefix: "/pods/", KeyFunc: func(o runtime.Object) (string, error) { return keyOf("/pods/", o) },
		GetAttrsFunc: podAttrs, NewFunc: x.raw.newFunc, NewListFunc: func() runtime.Object { return &example.PodList{} },
		IndexerFuncs: storage.IndexerFuncs{"spec.nodeName": func(o runtime.Object) string { return nodeName(o) }},
		Indexers:     &cache.Indexers{"f:spec.nodeName": func(o any) ([]string, error) { return []string{nodeName(o)}, nil }},
		Codec:        exampleCodec})
	if err != nil {
		t.Fatal(err)
	}
	d := cacher.NewCacheDelegator(c, x.raw)
	t.Cleanup(func() { d.Stop(); c.Stop() })
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.Interface, x.cache = d, c
	return x
}

func podAttrs(o runtime.Object) (labels.Set, fields.Set, error) {
	p := o.(*example.Pod)
	return labels.Set(p.Labels), fields.Set{"metadata.name": p.Name, "metadata.namespace": p.Namespace,
		"spec.nodeName": p.Spec.NodeName, "spec.restartPolicy": string(p.Spec.RestartPolicy), "spec.schedulerName": p.Spec.SchedulerName}, nil
}

// wireCodec encodes as the log does, for tests that compare sizes.
type wireCodec struct {
	runtime.Codec
	codec codec
}

func (c wireCodec) Encode(o runtime.Object, w io.Writer) error {
	body, err := c.codec.encode(o)
	if err == nil {
		_, err = w.Write(body.Data)
	}
	return err
}

// increase appends an event of another kind.
func (x *bench) increase(ctx context.Context, t *testing.T) int64 {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "increase"}}
	body, err := events.NewObject(events.Node, n)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := x.log.Append(ctx, events.Entry{Event: events.Event{ID: ulid.Make(), Type: "node.updated", Body: body}})
	if err == nil {
		err = x.objects.Await(ctx, seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	return int64(seq)
}

// compact forgets what is older than a revision. Like that of etcd it takes a
// revision itself.
func (x *bench) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	rev, err := versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	x.raw.table.Compact(rev)
	x.increase(ctx, t)
}

// stored checks that the log's bytes of a key hold no resourceVersion.
func (x *bench) stored(_ context.Context, t *testing.T, key string) {
	i := x.raw.table.At(strings.TrimPrefix(key, "/pods/"))
	if i == nil || strings.Contains(string(i.Data), "resourceVersion") {
		t.Errorf("%s is stored as %v", key, i)
	}
}

func calls(*testing.T, uint64, uint64) {} // of etcd

// testCase is one test of upstream's. Those that are not for a cache as well
// compact the storage or expect of it what the cache does not promise.
type testCase struct {
	run    func(context.Context, *testing.T, *bench)
	cached bool
}

func of(f func(context.Context, *testing.T, storage.Interface)) testCase {
	return testCase{func(ctx context.Context, t *testing.T, x *bench) { f(ctx, t, x) }, true}
}

func rawOnly(f func(context.Context, *testing.T, *bench)) testCase { return testCase{f, false} }

func both(f func(context.Context, *testing.T, *bench)) testCase { return testCase{f, true} }

// suite is upstream's, by name. What is not in it is told in docs/API.md.
var suite = map[string]testCase{
	"Create": both(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestCreate(ctx, t, x, x.stored)
	}),
	"CreateWithKeyExist":                        of(storagetesting.RunTestCreateWithKeyExist),
	"Get":                                       of(storagetesting.RunTestGet),
	"UnconditionalDelete":                       of(storagetesting.RunTestUnconditionalDelete),
	"ConditionalDelete":                         of(storagetesting.RunTestConditionalDelete),
	"DeleteWithSuggestion":                      of(storagetesting.RunTestDeleteWithSuggestion),
	"DeleteWithSuggestionAndConflict":           of(storagetesting.RunTestDeleteWithSuggestionAndConflict),
	"DeleteWithConflict":                        of(storagetesting.RunTestDeleteWithConflict),
	"DeleteWithSuggestionOfDeletedObject":       of(storagetesting.RunTestDeleteWithSuggestionOfDeletedObject),
	"ValidateDeletionWithSuggestion":            of(storagetesting.RunTestValidateDeletionWithSuggestion),
	"ValidateDeletionWithOnlySuggestionValid":   of(storagetesting.RunTestValidateDeletionWithOnlySuggestionValid),
	"PreconditionalDeleteWithSuggestion":        of(storagetesting.RunTestPreconditionalDeleteWithSuggestion),
	"PreconditionalDeleteWithOnlySuggestion":    of(storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass),
	"GetListRecursivePrefix":                    of(storagetesting.RunTestGetListRecursivePrefix),
	"ListPaging":                                of(storagetesting.RunTestListPaging),
	"NamespaceScopedList":                       of(storagetesting.RunTestNamespaceScopedList),
	"GuaranteedUpdateWithConflict":              of(storagetesting.RunTestGuaranteedUpdateWithConflict),
	"GuaranteedUpdateWithSuggestionAndConflict": of(storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict),
	"Watch":                                  of(storagetesting.RunTestWatch),
	"DeleteTriggerWatch":                     of(storagetesting.RunTestDeleteTriggerWatch),
	"WatchFromNonZero":                       of(storagetesting.RunTestWatchFromNonZero),
	"DelayedWatchDelivery":                   of(storagetesting.RunTestDelayedWatchDelivery),
	"WatcherTimeout":                         of(storagetesting.RunTestWatcherTimeout),
	"WatchDeleteEventObjectHaveLatestRV":     of(storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV),
	"WatchInitializationSignal":              of(storagetesting.RunTestWatchInitializationSignal),
	"ClusterScopedWatch":                     of(storagetesting.RunTestClusterScopedWatch),
	"NamespaceScopedWatch":                   of(storagetesting.RunTestNamespaceScopedWatch),
	"SendInitialEventsBackwardCompatibility": of(storagetesting.RunSendInitialEventsBackwardCompatibility),
	"WatchSemantics":                         of(storagetesting.RunWatchSemantics),
	"WatchSemanticInitialEventsExtended":     of(storagetesting.RunWatchSemanticInitialEventsExtended),
	"WatchListMatchSingle":                   of(storagetesting.RunWatchListMatchSingle),
	"ListContinuation": both(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestListContinuation(ctx, t, x, calls)
	}),
	"ListPaginationRareObject": both(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestListPaginationRareObject(ctx, t, x, calls)
	}),
	"ListContinuationWithFilter": both(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestListContinuationWithFilter(ctx, t, x, calls)
	}),
	"Stats": both(func(ctx context.Context, t *testing.T, x *bench) {
		if err := x.raw.EnableResourceSizeEstimation(nil); err != nil {
			t.Fatal(err)
		}
		storagetesting.RunTestStats(ctx, t, x, wireCodec{exampleCodec, x.raw.codec}, identity.NewEncryptCheckTransformer(), true)
	}),
	"WatchContextCancel": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestWatchContextCancel(ctx, t, x)
	}),
	"GetListNonRecursive": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestGetListNonRecursive(ctx, t, x.increase, x)
	}),
	"List": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestList(ctx, t, x, x.compact, false, storagetesting.NewKubernetesRecorder(nil))
	}),
	"ConsistentList": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestConsistentList(ctx, t, x, x.increase, false, true, false)
	}),
	"ListInconsistentContinuation": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestListInconsistentContinuation(ctx, t, x, x.compact)
	}),
	"CompactRevision": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestCompactRevision(ctx, t, x, x.increase, x.compact)
	}),
	"WatchFromZero": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestWatchFromZero(ctx, t, x, x.compact)
	}),
	"ProgressNotify": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunOptionalTestProgressNotify(ctx, t, x, x.increase)
	}),
	"WatchDispatchBookmarkEvents": rawOnly(func(ctx context.Context, t *testing.T, x *bench) {
		storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, x, false)
	}),
}

// TestStorageSuite is upstream's suite for every storage of an API server, on
// a store over a JetStream log.
func TestStorageSuite(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.WatchList, true)
	b := newBenches(t)
	t.Run("raw", func(t *testing.T) {
		for name, c := range suite {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				t.Cleanup(cancel) // after what it runs in parallel
				c.run(ctx, t, b.raw(t))
			})
		}
	})
	t.Run("cached", func(t *testing.T) {
		for name, c := range suite {
			if !c.cached {
				continue
			}
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				t.Cleanup(cancel) // after what it runs in parallel
				c.run(ctx, t, b.cached(t, strings.HasPrefix(name, "ClusterScoped")))
			})
		}
	})
}
