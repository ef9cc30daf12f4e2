package apiserver

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
)

// Events about a claim are told once it was made, by what there is by then.
func TestClaimsInEventView(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	v := newEventView(nil, func(c *corev1.PersistentVolumeClaim, classes iter.Seq[*storagev1.StorageClass], volumes iter.Seq[*corev1.PersistentVolume]) []events.Notice {
		return []events.Notice{{Reason: fmt.Sprintf("%s %d %d", c.Name, len(slices.Collect(classes)), len(slices.Collect(volumes)))}}
	}, now.Add(-time.Hour))
	tell := func(k events.Kind, verb string, at time.Time, name string) (reasons []string) {
		t.Helper()
		meta := metav1.ObjectMeta{Name: name, UID: types.UID(name)}
		var o metav1.Object = &corev1.PersistentVolumeClaim{ObjectMeta: meta}
		switch k {
		case events.StorageClass:
			o = &storagev1.StorageClass{ObjectMeta: meta}
		case events.PersistentVolume:
			o = &corev1.PersistentVolume{ObjectMeta: meta}
		}
		body, err := events.NewObject(k, o)
		if err != nil {
			t.Fatal(err)
		}
		e := events.Event{Stored: at, Type: events.ObjectType(k, verb), Body: body}
		if verb == events.VerbDeleted {
			e.Body = events.Gone{Ref: body.Ref}
		}
		for _, c := range v.observe(e) {
			reasons = append(reasons, decoded[corev1.Event](c.data).Reason)
		}
		return reasons
	}
	tell(events.StorageClass, events.VerbCreated, now.Add(-2*time.Hour), "fast")
	tell(events.PersistentVolume, events.VerbCreated, now, "disk")
	tell(events.PersistentVolume, events.VerbCreated, now, "other")
	tell(events.PersistentVolume, events.VerbDeleted, now, "other")
	for _, c := range []struct {
		verb string
		at   time.Time
		want []string
	}{
		{events.VerbCreated, now, []string{"data 1 1"}},
		{events.VerbUpdated, now, nil},
		{events.VerbCreated, now.Add(-2 * time.Hour), nil},
	} {
		if got := tell(events.PersistentVolumeClaim, c.verb, c.at, "data"); !slices.Equal(got, c.want) {
			t.Errorf("%s at %v: %q, want %q", c.verb, c.at, got, c.want)
		}
	}
}
