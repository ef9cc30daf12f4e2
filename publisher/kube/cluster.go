package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"rollcall/events"
)

// Cluster is a Kubernetes cluster that is read.
type Cluster struct {
	Host    string
	UID     types.UID // of its namespace kube-system
	Version string    // of its server

	client kubernetes.Interface
	whole  dynamic.Interface // for what is read with fields that are not compiled in
}

// The versions of servers whose objects are recorded whole: the last one is that whose
// types are compiled in.
const (
	firstMinor = 34
	lastMinor  = 36
)

// CallsPerSecond is how many requests a cluster gets at most, twice as many at once, if
// nothing else is asked for: above them they wait.
const CallsPerSecond = 50

// Options say how a cluster is read.
type Options struct {
	AnyVersion     bool // also a server of a version that is not known
	CallsPerSecond int  // 0: CallsPerSecond
}

// answerWait bounds the wait for an answer that is no stream.
const answerWait = 30 * time.Second

// Dial reaches a cluster, which has to answer as one, and has to let its kinds be read.
func Dial(ctx context.Context, config *rest.Config, o Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if config.ExecProvider == nil {
		return dial(ctx, config, o)
	}
	type dialed struct {
		*Cluster
		error
	}
	got := make(chan dialed, 1) // the program that gives the credentials heeds no context
	go func() {
		c, err := dial(ctx, config, o)
		got <- dialed{c, err}
	}()
	select {
	case d := <-got:
		return d.Cluster, d.error
	case <-ctx.Done():
		return nil, (&Cluster{Host: config.Host}).refused("have credentials of "+config.ExecProvider.Command+" and ask for the version", ctx.Err())
	}
}

// dial is Dial within the time that it has.
func dial(ctx context.Context, config *rest.Config, o Options) (*Cluster, error) {
	own, calls := rest.CopyConfig(config), cmp.Or(o.CallsPerSecond, CallsPerSecond)
	own.ContentType = "application/vnd.kubernetes.protobuf"
	own.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	own.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(float32(calls), 2*calls)
	client, err := kubernetes.NewForConfig(own)
	var whole dynamic.Interface
	if err == nil {
		whole, err = dynamic.NewForConfig(own)
	}
	if err != nil {
		return nil, &events.Error{Code: "E-KUBE-CONFIG", What: "the kubeconfig cannot be used", Why: err.Error(), Do: "see what kubectl says with the same file", Exit: events.ExitInput, Err: err}
	}
	c := &Cluster{Host: own.Host, client: client, whole: whole}
	if err := c.readVersion(ctx, o.AnyVersion); err != nil {
		return nil, err
	}
	if c.UID, err = c.uid(ctx); err != nil {
		return nil, c.refused("get the namespace kube-system", err)
	}
	for _, r := range resources {
		if _, _, err := c.page(ctx, r, "", metav1.ListOptions{Limit: 1}); err != nil {
			return nil, c.refused("list "+r.plural, err)
		}
	}
	return c, nil
}

// readVersion asks the server what it is.
func (c *Cluster) readVersion(ctx context.Context, anyVersion bool) error {
	var code int
	raw, err := c.client.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).StatusCode(&code).Raw()
	if err != nil {
		return c.refused("ask for the version", err)
	}
	var is struct{ GitVersion string }
	_ = json.Unmarshal(raw, &is) // whatever it is: it says no version
	v, err := version.ParseGeneric(is.GitVersion)
	if err != nil {
		return &events.Error{Code: "E-KUBE-ANSWER", What: "the server does not answer as a Kubernetes API does", Where: c.Host + "/version",
			Why: "it says: " + head(raw), Do: seeAddress, Exit: events.ExitInput}
	}
	c.Version = is.GitVersion
	if v.Major() == 1 && v.Minor() >= firstMinor && v.Minor() <= lastMinor || anyVersion {
		return nil
	}
	return &events.Error{Code: "E-KUBE-VERSION", What: "the cluster is of a version that is not known here", Where: c.Host, Why: fmt.Sprintf("it is %s, and known are 1.%d to 1.%d", is.GitVersion, firstMinor, lastMinor),
		Do: "give --shadow --any-version to record it all the same: fields that are not known are left out", Exit: events.ExitInput}
}

// head is the beginning of an answer.
func head(raw []byte) string { return strconv.Quote(string(raw[:min(len(raw), 80)])) }

// uid asks for the uid of the cluster.
func (c *Cluster) uid(ctx context.Context) (types.UID, error) {
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if ns.UID == "" {
		return "", errors.New("it has no uid")
	}
	return ns.UID, nil
}

// seeAddress is what to do about what answers and is no Kubernetes API.
const seeAddress = "see whether the address of the kubeconfig is that of a Kubernetes API (https://HOST:PORT), and not of a proxy or a login page"

// noCredentials is how client-go tells of the program that a kubeconfig names for its
// credentials.
const noCredentials = "getting credentials: "

// refused says in one line why a cluster does not answer a question, if it was not given up.
func (c *Cluster) refused(question string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	e := &events.Error{Code: "E-KUBE-UNREACHABLE", What: "the cluster cannot be reached", Where: c.Host, Why: question + ": " + err.Error(),
		Do: "see whether kubectl reaches it with the same kubeconfig", Exit: events.ExitHalt, Err: err}
	_, why, plugin := strings.Cut(err.Error(), noCredentials)
	var status apierrors.APIStatus
	switch {
	case plugin:
		e.Code, e.What, e.Why = "E-KUBE-USER", "the program by which the kubeconfig has its credentials gives none", why
		e.Do, e.Exit = "see whether kubectl gets an answer with the same kubeconfig: somebody may have to log in anew", events.ExitInput
		return e
	case errors.Is(err, context.DeadlineExceeded):
		e.Why = fmt.Sprintf("%s: there is no answer in %s", question, answerWait)
		return e
	case !errors.As(err, &status):
		if !errors.As(err, new(*url.Error)) { // it was answered
			e.Code, e.What, e.Do = "E-KUBE-ANSWER", "the cluster does not answer what it is asked", seeAddress
		}
		return e
	}
	s := caused(status.Status(), metav1.CauseTypeUnexpectedServerResponse) // no answer of an API
	switch code := status.Status().Code; {
	case code == http.StatusUnauthorized:
		e.Code, e.What, e.Do, e.Exit = "E-KUBE-USER", "the cluster does not know the user of the kubeconfig", "renew its token or certificate: it may be expired", events.ExitInput
	case code == http.StatusForbidden && s == nil:
		e.Code, e.What, e.Do, e.Exit = "E-KUBE-FORBIDDEN", "the user of the kubeconfig may not "+question, "give it the rights of deploy/rbac-shadow.yaml, or of the file of its mode beside that; probe and release need those of control", events.ExitInput
	case s != nil:
		e.Code, e.What, e.Do = "E-KUBE-ANSWER", "the cluster does not answer what it is asked", seeAddress
		e.Why = fmt.Sprintf("%s: the answer is %d %s, and says: %s", question, code, http.StatusText(int(code)), head([]byte(s.Message)))
	default:
		e.Code, e.What, e.Do = "E-KUBE-ANSWER", "the cluster does not answer what it is asked", "see what the server's log says"
	}
	return e
}

// trouble says what does not work for now, and what somebody has to do if that is so.
func (c *Cluster) trouble(question string, err error) error {
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return c.refused(question, err)
	}
	return fmt.Errorf("%s: %w", question, err)
}

// resource is how the objects of a kind are read.
type resource struct {
	kind   events.Kind // empty: core Events, which are no objects of a log
	plural string
	client func(kubernetes.Interface) rest.Interface
	fields string // selector
	// whole has objects read as they are told: in a template a field that is not
	// compiled in must not be passed over in silence.
	whole bool
}

func core(c kubernetes.Interface) rest.Interface       { return c.CoreV1().RESTClient() }
func apps(c kubernetes.Interface) rest.Interface       { return c.AppsV1().RESTClient() }
func scheduling(c kubernetes.Interface) rest.Interface { return c.SchedulingV1().RESTClient() }

// resources are those of recordedKinds, in their order, and core Events about DaemonSets,
// which say who has deleted a pod.
var resources = []resource{
	{kind: events.PriorityClass, plural: "priorityclasses", client: scheduling},
	{kind: events.Namespace, plural: "namespaces", client: core},
	{kind: events.Node, plural: "nodes", client: core},
	{kind: events.DaemonSet, plural: "daemonsets", client: apps, whole: true},
	{kind: events.ControllerRevision, plural: "controllerrevisions", client: apps},
	{kind: events.Pod, plural: "pods", client: core},
	{plural: "events", client: core, fields: "involvedObject.kind=DaemonSet"},
}

// named returns how a cluster names the resource.
func (r *resource) named() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.kind.Group(), Version: "v1", Resource: r.plural}
}

// page reads one page of a list, of one namespace or of all, and returns its objects.
func (c *Cluster) page(ctx context.Context, r resource, namespace string, o metav1.ListOptions) (list metav1.ListInterface, items []runtime.Object, err error) {
	o.FieldSelector = r.fields
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if r.whole {
		all, err := c.whole.Resource(r.named()).Namespace(namespace).List(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		items, err = meta.ExtractListWithAlloc(all)
		return all, items, err
	}
	got, err := r.client(c.client).Get().Namespace(namespace).Resource(r.plural).VersionedParams(&o, scheme.ParameterCodec).Do(ctx).Get()
	if err != nil {
		return nil, nil, err
	}
	list, ok := got.(metav1.ListInterface)
	if !ok {
		return nil, nil, fmt.Errorf("the answer is a %T", got)
	}
	items, err = meta.ExtractListWithAlloc(got)
	return list, items, err
}

// watch begins to hear of changes after a revision.
func (c *Cluster) watch(ctx context.Context, r resource, o metav1.ListOptions) (watch.Interface, error) {
	o.FieldSelector, o.Watch = r.fields, true
	if r.whole {
		return c.whole.Resource(r.named()).Watch(ctx, o)
	}
	return r.client(c.client).Get().Resource(r.plural).VersionedParams(&o, scheme.ParameterCodec).Watch(ctx)
}

// now asks at which revision a resource is, by the cluster's store and not by a copy.
func (c *Cluster) now(ctx context.Context, r resource) (uint64, error) {
	list, _, err := c.page(ctx, r, "", metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	return revision(list.GetResourceVersion())
}

func revision(rv string) (uint64, error) {
	n, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion %q is no number", rv)
	}
	return n, nil
}
