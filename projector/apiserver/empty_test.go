package apiserver

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A client that asks for what is there and then for changes is told where the
// first ends, also if nothing is there.
func TestWatchOfNothing(t *testing.T) {
	c := newCluster(t)
	initial := true
	o := metav1.ListOptions{SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for what, open := range map[string]func(context.Context, metav1.ListOptions) (watch.Interface, error){
		"pods": c.client.CoreV1().Pods("").Watch, "events": c.client.CoreV1().Events("").Watch} {
		w, err := open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		e := <-w.ResultChan()
		if m, err := meta.Accessor(e.Object); err != nil || e.Type != watch.Bookmark || m.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
}
