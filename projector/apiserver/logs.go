package apiserver

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// LogLine is one line that a container has written.
type LogLine struct {
	At   time.Time
	Text string
}

// LogSource returns what a container of a pod has written until now, or what
// the one before it had if previous is set. A later call returns the same lines
// and those that came since. An error says why there are none, for people.
type LogSource func(pod *corev1.Pod, container string, previous bool) ([]LogLine, error)

// logREST serves the logs of containers.
type logREST struct {
	pods   *genericregistry.Store
	source LogSource
}

var _ rest.GetterWithOptions = (*logREST)(nil)

// New implements rest.Storage.
func (l *logREST) New() runtime.Object { return &api.Pod{} }

// Destroy implements rest.Storage; the pods are somebody else's.
func (l *logREST) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (l *logREST) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata.
func (l *logREST) ProducesObject(string) any { return "" }

// NewGetOptions implements rest.GetterWithOptions.
func (l *logREST) NewGetOptions() (runtime.Object, bool, string) {
	return &api.PodLogOptions{}, false, ""
}

// Get implements rest.GetterWithOptions.
func (l *logREST) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	opts, ok := options.(*api.PodLogOptions)
	if !ok {
		return nil, fmt.Errorf("options of a log are %T", options)
	}
	if errs := validation.ValidatePodLogOptions(opts, false); len(errs) > 0 {
		return nil, apierrors.NewInvalid(api.Kind("PodLogOptions"), name, errs)
	}
	t := &logTail{rest: l, name: name, opts: opts}
	pod, err := t.pod(ctx)
	if err != nil {
		return nil, err
	}
	if t.container, err = containerOf(pod, opts.Container); err != nil {
		return nil, err
	}
	if t.lines, err = l.source(pod, t.container, opts.Previous); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return t, nil
}

// containerOf returns the container that is meant: the only one, or the one
// that is named.
func containerOf(pod *corev1.Pod, container string) (string, error) {
	var names, all []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	all = append(all, names...)
	for _, c := range pod.Spec.InitContainers {
		all = append(all, c.Name)
	}
	switch {
	case container == "" && len(all) == 1:
		return all[0], nil
	case container == "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", pod.Name, names))
	case !slices.Contains(all, container):
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", container, pod.Name))
	}
	return container, nil
}

// logTail is the log of one container as a client has asked for it.
type logTail struct {
	api.Pod // an answer is an object
	rest    *logREST
	name    string

	container string
	opts      *api.PodLogOptions
	lines     []LogLine
}

var _ rest.ResourceStreamer = (*logTail)(nil)

func (t *logTail) pod(ctx context.Context) (*corev1.Pod, error) {
	o, err := t.rest.pods.Get(ctx, t.name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := legacyscheme.Scheme.Convert(o, pod, nil); err != nil {
		return nil, fmt.Errorf("convert pod %s: %w", t.name, err)
	}
	return pod, nil
}

// InputStream implements rest.ResourceStreamer.
func (t *logTail) InputStream(ctx context.Context, _, _ string) (io.ReadCloser, bool, string, error) {
	lines := t.wanted(t.lines)
	if !t.opts.Follow {
		text := t.text(lines)
		if limit := t.opts.LimitBytes; limit != nil {
			text = text[:min(int64(len(text)), *limit)]
		}
		return io.NopCloser(strings.NewReader(text)), false, "text/plain", nil
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(t.follow(ctx, w, lines)) }()
	return r, true, "text/plain", nil
}

// followEvery is how often a log that is followed is looked at.
const followEvery = 500 * time.Millisecond

// follow writes lines as they come until the pod has ended.
func (t *logTail) follow(ctx context.Context, w io.Writer, lines []LogLine) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	written := len(t.lines)
	for {
		if _, err := io.WriteString(w, t.text(lines)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		pod, err := t.pod(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		all, err := t.rest.source(pod, t.container, t.opts.Previous)
		if err != nil {
			return nil // the container went away
		}
		lines = all[min(written, len(all)):]
		written = len(all)
		if len(lines) == 0 && (pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed) {
			return nil
		}
	}
}

// wanted returns the lines that the options ask for.
func (t *logTail) wanted(lines []LogLine) []LogLine {
	var from time.Time
	switch {
	case t.opts.SinceTime != nil:
		from = t.opts.SinceTime.Time
	case t.opts.SinceSeconds != nil:
		from = time.Now().Add(-time.Duration(*t.opts.SinceSeconds) * time.Second)
	}
	var out []LogLine
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

func (t *logTail) text(lines []LogLine) string {
	var b strings.Builder
	for _, l := range lines {
		if t.opts.Timestamps {
			b.WriteString(l.At.UTC().Format(time.RFC3339Nano) + " ")
		}
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}
