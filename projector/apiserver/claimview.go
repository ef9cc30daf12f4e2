package apiserver

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"rollcall/events"
)

// ClaimNotices returns what there is to tell about a claim that was made, with the
// StorageClasses and the PersistentVolumes that are there.
type ClaimNotices func(c *corev1.PersistentVolumeClaim, classes iter.Seq[*storagev1.StorageClass], volumes iter.Seq[*corev1.PersistentVolume]) []events.Notice

// sources are what the log last had of what claims get their volumes from.
type sources struct {
	classes, volumes map[string][]byte
}

func newSources() sources { return sources{map[string][]byte{}, map[string][]byte{}} }

// observe keeps the classes and the volumes as they are.
func (s sources) observe(e events.Event) {
	ref, of := events.RefOf(e), s.classes
	switch ref.Kind {
	case events.PersistentVolume:
		of = s.volumes
	case events.StorageClass:
	default:
		return
	}
	delete(of, ref.Key.Name)
	if o, ok := e.Body.(events.Object); ok {
		of[ref.Key.Name] = o.Data
	}
}

// all decodes what is in one of the maps, in no order, as far as somebody looks.
func all[T any](data map[string][]byte) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, d := range data {
			if o := decoded[T](d); o != nil && !yield(o) {
				return
			}
		}
	}
}

// aboutClaim returns what an event tells about a claim.
func (v *eventView) aboutClaim(e events.Event) []events.Notice {
	o, ok := e.Body.(events.Object)
	if !ok || v.claims == nil || o.Kind != events.PersistentVolumeClaim || e.Type != events.ObjectType(o.Kind, events.VerbCreated) {
		return nil
	}
	c := decoded[corev1.PersistentVolumeClaim](o.Data)
	if c == nil {
		return nil
	}
	return v.claims(c, all[storagev1.StorageClass](v.sources.classes), all[corev1.PersistentVolume](v.sources.volumes))
}
