package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	podrest "k8s.io/kubernetes/pkg/registry/core/pod/rest"

	"rollcall/events"
	"rollcall/projector/apiserver/streams"
)

// LogSource returns what a container of a pod has written until now, or what
// the one before it had if previous is set. A later call returns the same lines
// and those that came since. An error says why there are none, for people.
type LogSource func(pod *corev1.Pod, container string, previous bool) (events.ContainerLog, error)

// logREST is Kubernetes' registry of the logs of containers, which asks kubelets,
// but for where it reads those of nodes that have none of their own.
type logREST struct {
	*podrest.LogREST
	source LogSource
	places streams.Places
	seen   *streams.Connections
}

// Get implements rest.GetterWithOptions.
func (l *logREST) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	switch real, err := l.places.Real(ctx, name); {
	case err != nil:
		return nil, err
	case real:
		return l.LogREST.Get(ctx, name, options)
	}
	opts, ok := options.(*api.PodLogOptions)
	if !ok {
		return nil, fmt.Errorf("options of a log are %T", options)
	}
	if errs := validation.ValidatePodLogOptions(opts, false); len(errs) > 0 {
		return nil, apierrors.NewInvalid(api.Kind("PodLogOptions"), name, errs)
	}
	t := &logTail{rest: l, namespace: genericapirequest.NamespaceValue(ctx), name: name, opts: opts}
	pod, err := t.pod(ctx)
	if err != nil {
		return nil, err
	}
	if t.container, err = containerOf(pod, opts.Container); err != nil {
		return nil, err
	}
	if t.log, err = l.source(l.seen.Resolved(ctx, pod, t.container), t.container, opts.Previous); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return t, nil
}

// containerOf returns the container that is meant: the only one, or the one
// that is named.
func containerOf(pod *corev1.Pod, container string) (string, error) {
	var names []string
	podutil.VisitContainers(&pod.Spec, podutil.AllContainers, func(c *corev1.Container, _ podutil.ContainerType) bool {
		names = append(names, c.Name)
		return true
	})
	switch {
	case container == "" && len(pod.Spec.Containers) == 1:
		return pod.Spec.Containers[0].Name, nil
	case container == "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", pod.Name, names))
	case !slices.Contains(names, container):
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", container, pod.Name))
	}
	return container, nil
}

// logTail is the log of one container as a client has asked for it.
type logTail struct {
	api.Pod // an answer is an object
	rest    *logREST

	namespace, name string

	container string
	opts      *api.PodLogOptions
	version   string // of the pod when it was last read
	log       events.ContainerLog
}

var _ rest.ResourceStreamer = (*logTail)(nil)

func (t *logTail) pod(ctx context.Context) (*corev1.Pod, error) {
	o, err := t.rest.Store.Get(ctx, t.name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := legacyscheme.Scheme.Convert(o, pod, nil); err != nil {
		return nil, fmt.Errorf("convert pod %s: %w", t.name, err)
	}
	t.version = pod.ResourceVersion
	return pod, nil
}

// InputStream implements rest.ResourceStreamer.
func (t *logTail) InputStream(ctx context.Context, _, _ string) (io.ReadCloser, bool, string, error) {
	lines := t.wanted(t.log.Lines)
	if !t.opts.Follow || t.log.Ended {
		text := t.text(lines)
		if limit := t.opts.LimitBytes; limit != nil {
			text = text[:min(int64(len(text)), *limit)]
		}
		return io.NopCloser(strings.NewReader(text)), false, "text/plain", nil
	}
	ctx = genericapirequest.WithNamespace(ctx, t.namespace) // the server leaves it out here
	w, err := t.watch(ctx)
	if err != nil {
		return nil, false, "", err
	}
	f := &follower{logTail: t, watch: w, left: math.MaxInt64}
	if limit := t.opts.LimitBytes; limit != nil {
		f.left = *limit
	}
	r, out := io.Pipe()
	f.out = out
	go func() {
		defer f.close()
		out.CloseWithError(f.follow(ctx, lines))
	}()
	return r, true, "text/plain", nil
}

// watch sees the pod change from where its log was read.
func (t *logTail) watch(ctx context.Context) (watch.Interface, error) {
	return t.rest.Store.Watch(ctx, &metainternalversion.ListOptions{ResourceVersion: t.version,
		FieldSelector: fields.OneTermEqualSelector("metadata.name", t.name)})
}

// follower writes the lines of one life of a container as they come.
type follower struct {
	*logTail
	watch watch.Interface
	out   io.Writer
	left  int64 // bytes that the client still takes

	passed time.Time // when the last line was due by itself
}

func (f *follower) close() { f.watch.Stop() }

// follow writes until the container ends, its pod is gone or the client is. It
// sleeps until the pod changes or the next line is due.
func (f *follower) follow(ctx context.Context, lines []events.LogLine) error {
	due := time.NewTimer(0)
	defer due.Stop()
	written := len(f.log.Lines)
	for {
		text := f.text(lines)
		text = text[:min(int64(len(text)), f.left)]
		f.left -= int64(len(text))
		if _, err := io.WriteString(f.out, text); err != nil || f.log.Ended || f.left == 0 {
			return err
		}
		due.Stop()
		if !f.log.Next.IsZero() {
			due.Reset(time.Until(f.log.Next))
		}
		ended := false
		select {
		case <-due.C:
			f.passed = f.log.Next
		case e, ok := <-f.watch.ResultChan():
			ended = !ok || e.Type == watch.Error
		case <-ctx.Done():
			return nil
		}
		pod, err := f.pod(ctx)
		if err != nil {
			return utilerrors.FilterOut(err, apierrors.IsNotFound)
		}
		if ended {
			if err := f.watchAgain(ctx); err != nil {
				return err
			}
		}
		all, err := f.read(ctx, pod)
		if err != nil {
			return nil // the container went away
		}
		lines, written = all[min(written, len(all)):], len(all)
	}
}

// watchAgain watches from where the pod was last read.
func (f *follower) watchAgain(ctx context.Context) error {
	again, err := f.logTail.watch(ctx)
	if err == nil {
		f.watch.Stop()
		f.watch = again
	}
	return err
}

// read returns all lines of the life that is followed, also when the container
// was started again meanwhile.
func (f *follower) read(ctx context.Context, pod *corev1.Pod) ([]events.LogLine, error) {
	pod = f.rest.seen.Resolved(ctx, pod, f.container)
	log, err := f.rest.source(pod, f.container, f.opts.Previous)
	if err != nil || log.Life != f.log.Life {
		before, none := f.rest.source(pod, f.container, true)
		if none != nil || before.Life != f.log.Life {
			return nil, errors.Join(err, none, errAnotherLife)
		}
		log = before
		log.Ended = true
	}
	if !log.Next.After(f.passed) {
		log.Next = time.Time{} // a clock that stands still: nothing comes by itself
	}
	f.log = log
	return log.Lines, nil
}

// errAnotherLife says that the container that was followed is no more.
var errAnotherLife = errors.New("the container was started again")

// wanted returns the lines that the options ask for.
func (t *logTail) wanted(lines []events.LogLine) []events.LogLine {
	var from time.Time
	switch {
	case t.opts.SinceTime != nil:
		from = t.opts.SinceTime.Time
	case t.opts.SinceSeconds != nil:
		from = time.Now().Add(-time.Duration(*t.opts.SinceSeconds) * time.Second)
	}
	var out []events.LogLine
	for _, l := range lines {
		if !l.At.Before(from) {
			out = append(out, l)
		}
	}
	if tail := t.opts.TailLines; tail != nil && *tail < int64(len(out)) {
		out = out[int64(len(out))-*tail:]
	}
	return out
}

func (t *logTail) text(lines []events.LogLine) string {
	var b strings.Builder
	for _, l := range lines {
		if t.opts.Timestamps {
			b.WriteString(l.At.UTC().Format(time.RFC3339Nano) + " ")
		}
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}
