package streams

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	utilexec "k8s.io/utils/exec"

	"rollcall/publisher/simkubelet/shell"
)

// handler is what a kubelet has of its server for containers.
func (c *Connections) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", c.session(c.serveExec))
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", c.session(c.serveAttach))
	mux.HandleFunc("/portForward/{namespace}/{pod}", c.session(c.serveForward))
	return mux
}

// session gives a request a place, and its pod.
func (c *Connections) session(serve func(http.ResponseWriter, *http.Request, *corev1.Pod)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case c.places <- struct{}{}:
			defer func() { <-c.places }()
		default:
			http.Error(w, fmt.Sprintf("there are %d sessions in simulated containers already: end one of them", mostSessions), http.StatusTooManyRequests)
			return
		}
		ctx, stop := context.WithTimeout(r.Context(), sessionTime)
		defer stop()
		pod, err := c.options.Client.CoreV1().Pods(r.PathValue("namespace")).Get(ctx, r.PathValue("pod"), metav1.GetOptions{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		serve(w, r.WithContext(ctx), pod)
	}
}

// running refuses a container that does not run, in the words of a kubelet.
func running(w http.ResponseWriter, pod *corev1.Pod, container string) bool {
	for _, all := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for _, s := range all {
			if s.Name == container && s.State.Running != nil {
				return true
			}
		}
	}
	http.Error(w, fmt.Sprintf("container not found (%q)", container), http.StatusInternalServerError)
	return false
}

func (c *Connections) serveExec(w http.ResponseWriter, r *http.Request, pod *corev1.Pod) {
	name := r.PathValue("container")
	if !running(w, pod, name) {
		return
	}
	streams, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, runner{c, pod}, pod.Name, string(pod.UID), name, r.URL.Query()["command"], streams,
		sessionTime, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (c *Connections) serveAttach(w http.ResponseWriter, r *http.Request, pod *corev1.Pod) {
	name := r.PathValue("container")
	if !running(w, pod, name) {
		return
	}
	streams, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, runner{c, pod}, pod.Name, string(pod.UID), name, streams,
		sessionTime, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (c *Connections) serveForward(w http.ResponseWriter, r *http.Request, pod *corev1.Pod) {
	o, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, runner{c, pod}, pod.Name, string(pod.UID), o, sessionTime, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

// runner does in a pod what streams ask for.
type runner struct {
	*Connections
	pod *corev1.Pod
}

// ExecInContainer implements remotecommand.Executor.
func (r runner) ExecInContainer(ctx context.Context, _, _, name string, args []string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return exit(r.run(ctx, name, args, in, out, errs, tty, resize))
}

// run runs a command in a container and returns its exit code.
func (r runner) run(ctx context.Context, name string, args []string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if resize != nil {
		go func() { // the shell does not ask how large a terminal is
			for range resize {
				_ = resize
			}
		}()
	}
	s := shell.Streams{In: in, Out: writer(out), Err: writer(errs), Terminal: tty}
	if errs == nil {
		s.Err = s.Out
	}
	return shell.Run(ctx, r.container(ctx, r.pod, name), args, s)
}

// writer is a stream that is written to by several at a time; nil takes everything.
func writer(w io.Writer) io.Writer {
	if wc, ok := w.(io.WriteCloser); !ok || wc == nil {
		return io.Discard
	}
	return &guarded{w: w}
}

type guarded struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.w.Write(b)
}

// exit is an exit code as the streams tell it.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: errors.New("the command ended with an error"), Code: code}
}

// AttachContainer implements remotecommand.Attacher. A container that reads gets its
// command run for who is attached, a shell if it has none; any other shows what it
// writes from now on.
func (r runner) AttachContainer(ctx context.Context, _, _, name string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	if spec := specOf(r.pod, name); spec != nil && spec.Stdin && in != nil {
		args := slices.Concat(spec.Command, spec.Args)
		if len(args) == 0 {
			args = []string{"sh"}
		}
		code := r.run(ctx, name, args, in, out, errs, tty, resize)
		return r.ended(ctx, spec, code)
	}
	return r.follow(ctx, name, writer(out), tty)
}

// followEvery is how often it is looked whether a container has written more.
const followEvery = time.Second

// follow writes what a container writes until it ends.
func (r runner) follow(ctx context.Context, name string, out io.Writer, tty bool) error {
	shown, began := -1, r.options.Now()
	for {
		pod, err := r.options.Client.CoreV1().Pods(r.pod.Namespace).Get(ctx, r.pod.Name, metav1.GetOptions{})
		if err != nil {
			return nil // it is gone
		}
		log, err := r.options.Logs(r.Resolved(ctx, pod, name), name, false)
		if err != nil {
			return nil
		}
		for i, l := range log.Lines {
			if i <= shown || l.At.Before(began) {
				continue
			}
			text := l.Text + "\n"
			if tty {
				text = l.Text + "\r\n"
			}
			if _, err := io.WriteString(out, text); err != nil {
				return nil
			}
			shown = i
		}
		if log.Ended {
			return nil
		}
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func specOf(pod *corev1.Pod, name string) (found *corev1.Container) {
	podutil.VisitContainers(&pod.Spec, podutil.AllContainers, func(c *corev1.Container, _ podutil.ContainerType) bool {
		if c.Name == name {
			found = c
		}
		return found == nil
	})
	return found
}
