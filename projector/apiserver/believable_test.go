package apiserver

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// A write that readers of the log would set aside is refused with their reason, and
// nothing of it is in the log: answered with 201 it would be lost.
func TestWhatNobodyBelievesIsRefused(t *testing.T) {
	c := newClusterWith(t, withPort(t, Config{Doubt: func(e events.Event) (code, why string) {
		if events.RefOf(e).Key.Name == "doubted" {
			return "E-EVT-NAME", "nobody is called so"
		}
		return events.Doubt(&e)
	}}))
	maps := c.client.CoreV1().ConfigMaps("default")
	before, err := c.log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "doubted"}}, metav1.CreateOptions{})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "E-EVT-NAME") || !strings.Contains(err.Error(), "nobody is called so") {
		t.Errorf("refused with %v", err)
	}
	if after, err := c.log.Info(t.Context()); err != nil || after.Last != before.Last {
		t.Errorf("the log went from %d to %d, %v", before.Last, after.Last, err)
	}
	if _, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "believed"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("refused: %v", err)
	}
	b := &logBackend{c.server.link, c.subjects, Config{}.doubt()}
	o := events.Object{Ref: events.Ref{Kind: events.CustomKind("example.com", "Odd_Kind"), UID: "u", Key: events.Key{Namespace: "default", Name: "x"}}}
	if _, err := b.append(t.Context(), write{verb: events.VerbCreated, key: "default/x", now: o}); err == nil || !strings.Contains(err.Error(), "E-EVT-NAME") {
		t.Errorf("a kind that no log has: %v", err)
	}
}
