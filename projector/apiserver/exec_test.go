package apiserver

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"rollcall/events"
)

// inside makes a pod that runs on a node with labels, and returns a configuration
// of clients with a port.
func inside(t *testing.T, c *cluster, node string, labels map[string]string) (*rest.Config, *kubernetes.Clientset) {
	t.Helper()
	config := &rest.Config{Host: "https://" + c.server.door.Addr().String(), BearerToken: "secret", TLSClientConfig: rest.TLSClientConfig{CAData: c.server.config.CA}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: labels}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "on-" + node}, Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if pod, err = client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, "10.1.2.3"
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", Image: "i", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
	if _, err := client.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return config, client
}

// execIn runs a command in a pod, over SPDY or WebSocket.
func execIn(ctx context.Context, config *rest.Config, client *kubernetes.Clientset, spdy bool, pod string, in string, command ...string) (out, errs string, err error) {
	u := client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "c", Command: command, Stdin: in != "", Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	var x remotecommand.Executor
	if spdy {
		x, err = remotecommand.NewSPDYExecutor(config, http.MethodPost, u)
	} else {
		x, err = remotecommand.NewWebSocketExecutor(config, http.MethodGet, u.String())
	}
	if err != nil {
		return "", "", err
	}
	var o, e bytes.Buffer
	streams := remotecommand.StreamOptions{Stdout: &o, Stderr: &e}
	if in != "" {
		streams.Stdin = strings.NewReader(in)
	}
	err = x.StreamWithContext(ctx, streams)
	return o.String(), e.String(), err
}

// TestExec runs commands in a simulated container by both protocols, and is
// refused by a node that is not simulated and has no kubelet.
func TestExec(t *testing.T) {
	c := newCluster(t)
	config, client := inside(t, c, "simulated", map[string]string{events.LabelSimulated: "true"})
	for _, spdy := range []bool{true, false} {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		out, errs, err := execIn(ctx, config, client, spdy, "on-simulated", "typed\n", "sh", "-c", "cat; hostname; echo no >&2; exit 3")
		stop()
		var exit utilexec.CodeExitError
		if out != "typed\non-simulated\n" || errs != "no\n" || !errors.As(err, &exit) || exit.Code != 3 {
			t.Errorf("spdy %v: %q, %q, %v", spdy, out, errs, err)
		}
	}
	// What nobody waits for any more ends.
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_, _, err := execIn(ctx, config, client, false, "on-simulated", "", "sleep", "infinity")
	stop()
	if err == nil {
		t.Error("sleep infinity has ended")
	}
	_, _ = inside(t, c, "told", map[string]string{events.LabelSource: "agent"})
	if _, _, err := execIn(t.Context(), config, client, true, "on-told", "", "hostname"); err == nil || !strings.Contains(err.Error(), "node told has no kubelet of its own here that could be asked") {
		t.Errorf("on a node without kubelet: %v", err)
	}
}
