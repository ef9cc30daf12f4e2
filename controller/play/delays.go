package play

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector"
)

// Delays are how long the kubelets of a history took with its pods. The zero
// value has seen nothing; it is told of every event of the history from some
// position on, as it was folded, and of the state after it.
type Delays struct {
	samples map[kind][]time.Duration
	open    map[events.Key]*stay
}

// kind is what a delay is of. A history that shows none of an image on a node
// shows it on others, and of other images.
type kind struct {
	what         string // "bind", "start" or "stop", as simkubelet has them
	images, node string
}

// stay is a pod that is there.
type stay struct {
	images, node string
	since        time.Time // when the present part of its life began
	part         string    // what it is doing; empty: nothing that is measured
}

// Take takes an event.
func (d *Delays) Take(s *projector.State, e events.Event) {
	if d.open == nil {
		d.samples, d.open = map[kind][]time.Duration{}, map[events.Key]*stay{}
	}
	switch b := e.Body.(type) {
	case events.Gone:
		if b.Kind == events.Pod {
			d.gone(b.Key, e)
		}
	case events.Object:
		switch b.Kind {
		case events.Pod:
			d.pod(s, b, e)
		case events.Node:
			if n := s.Node(b.Key.Name); n != nil && !n.Ready {
				d.spoil(s, n.Name)
			}
		}
	}
}

// pod takes a fact about a pod that is there.
func (d *Delays) pod(s *projector.State, o events.Object, e events.Event) {
	p := s.Pod(o.Key)
	if p == nil {
		return
	}
	x := d.open[o.Key]
	if x == nil {
		var full corev1.Pod
		if o.Decode(&full) != nil {
			return
		}
		node, _ := daemonpod.TargetNode(&full.Spec)
		x = &stay{images: imagesOf(&full), node: node, since: e.Stored, part: "bind"}
		if e.Type != events.ObjectType(events.Pod, events.VerbCreated) {
			x.part = "" // since when it is there is not known
		}
		d.open[o.Key] = x
	}
	switch {
	case p.Deleting && x.part != "stop":
		x.since, x.part = e.Stored, "stop"
	case p.Deleting:
	case x.part == "bind" && p.Bound:
		d.note(x, e)
		x.part = "start"
	case x.part == "start" && p.Phase == corev1.PodRunning:
		d.note(x, e)
		x.part = ""
	}
}

// gone takes the end of a pod.
func (d *Delays) gone(k events.Key, e events.Event) {
	if x := d.open[k]; x != nil && x.part == "stop" {
		d.note(x, e)
	}
	delete(d.open, k)
}

// spoil forgets what is being measured on a node: one that does not answer tells
// nothing of how long its kubelet takes.
func (d *Delays) spoil(s *projector.State, node string) {
	for p := range s.Pods() {
		if x := d.open[p.Key]; x != nil && x.node == node {
			x.part = ""
			if p.Deleting {
				x.part = "spoilt"
			}
		}
	}
}

// note keeps a delay, of the image on the node, of the image, and of all.
func (d *Delays) note(x *stay, e events.Event) {
	took := e.Stored.Sub(x.since) - tick // the last of it the log took
	for _, k := range []kind{{x.part, x.images, x.node}, {what: x.part, images: x.images}, {what: x.part}} {
		d.samples[k] = append(d.samples[k], max(took, 0))
	}
	x.since = e.Stored
}

// SeenOf returns how many delays of a kind were seen of images, written as Images
// has them.
func (d *Delays) SeenOf(what string, images []string) int {
	return len(d.samples[kind{what: what, images: strings.Join(images, " ")}])
}

// Seen returns how many delays of a kind were seen, of all images and nodes.
func (d *Delays) Seen(what string) int { return len(d.samples[kind{what: what}]) }

// Draw returns how long a pod is to take, if the history shows that: a delay that
// was seen of its image on its node, else of its image, else of all. The same pod
// and seed draw the same.
func (d *Delays) Draw(seed int64, what string, p *corev1.Pod) (time.Duration, bool) {
	node, _ := daemonpod.TargetNode(&p.Spec)
	images := imagesOf(p)
	for _, k := range []kind{{what, images, node}, {what: what, images: images}, {what: what}} {
		if seen := d.samples[k]; len(seen) > 0 {
			sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s/%s/%s/%s", seed, what, p.Namespace, node, images))
			return seen[binary.BigEndian.Uint64(sum[:8])%uint64(len(seen))], true
		}
	}
	return 0, false
}

func imagesOf(p *corev1.Pod) string { return strings.Join(images(&p.Spec), " ") }

// images returns those of all containers of a pod, in their order.
func images(p *corev1.PodSpec) (all []string) {
	for _, c := range slices.Concat(p.InitContainers, p.Containers) {
		all = append(all, c.Image)
	}
	return all
}
