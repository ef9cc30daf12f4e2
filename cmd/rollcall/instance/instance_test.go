package instance

import (
	"context"
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/events/waittest"
)

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// A program starts an instance with few words, uses its API without a port, and
// waits until what it wants is so; another one goes on from its directory.
func TestStart(t *testing.T) {
	sandbox(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	changed := make(chan struct{}, 1)
	o := Options{Nodes: 3, Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: []string{ownController}, Patience: patience,
		Follow: func(events.Event) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}}
	in, client := start(t, o)
	if err := in.Found(ctx); err != nil {
		t.Fatal(err)
	}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "agent:1"}}}}}}
	if _, err := client.AppsV1().DaemonSets("default").Create(ctx, ds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := in.AwaitEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if err := in.Settled(ctx, changed); err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) != 2 { // the control plane is kept free
		t.Errorf("%d pods, %v", len(pods.Items), err)
	}
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
	in, client = start(t, o)
	if err := in.Settled(ctx, changed); err != nil {
		t.Error(err)
	}
	if _, err := client.AppsV1().DaemonSets("default").Get(ctx, "agent", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	select {
	case err := <-in.Failed():
		t.Errorf("a part has ended: %v", err)
	default:
	}
	if err := in.Stop(); err != nil {
		t.Error(err)
	}
}

// TestLeavesLogAtRest stops an instance: the log is open to who starts its server for
// itself, and an instance goes on with it.
func TestLeavesLogAtRest(t *testing.T) {
	sandbox(t)
	o := Options{Nodes: 3, Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: []string{ownController}, Patience: patience}
	in, _ := start(t, o)
	populate(t, in)
	mustStop(t, in)
	open := func(so stream.Options) error {
		s, err := natsd.Start(t.Context(), natsd.Options{Dir: o.Data, Cluster: in.Subjects.Cluster()})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := s.Connect()
		if err == nil {
			_, err = stream.Open(t.Context(), nc, in.Subjects, so)
			nc.Close()
		}
		return errors.Join(err, s.Close())
	}
	var e *events.Error
	if err := open(stream.Options{}); !errors.As(err, &e) || e.Code != "E-STREAM-CONFIG" {
		t.Errorf("a log at rest is open to everybody: %v", err)
	}
	in, _ = start(t, o)
	mustStop(t, in)
	if err := open(stream.Options{Own: true}); err != nil {
		t.Error(err)
	}
}

func start(t *testing.T, o Options) (*Instance, kubernetes.Interface) {
	t.Helper()
	in, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(in.LoopbackAs("test"))
	if err != nil {
		t.Fatal(err)
	}
	return in, client
}
