package wire_test

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events/wire"
)

func pod(b *testing.B) (*corev1.Pod, []byte) {
	p := fluentd(b)
	data, err := wire.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	return p, data
}

func BenchmarkMarshalPod(b *testing.B) {
	p, _ := pod(b)
	for b.Loop() {
		if _, err := wire.Marshal(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalPodNoManagedFields(b *testing.B) {
	p, _ := pod(b)
	p.ManagedFields = nil
	for b.Loop() {
		if _, err := wire.Marshal(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalPod(b *testing.B) {
	_, data := pod(b)
	for b.Loop() {
		if err := wire.Unmarshal(data, new(corev1.Pod)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalPodNoManagedFields(b *testing.B) {
	p, _ := pod(b)
	p.ManagedFields = nil
	data, err := wire.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := wire.Unmarshal(data, new(corev1.Pod)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshalPodJSON is what the same costs in JSON.
func BenchmarkUnmarshalPodJSON(b *testing.B) {
	p, _ := pod(b)
	j, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := json.Unmarshal(j, new(corev1.Pod)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkToJSONPod(b *testing.B) {
	_, data := pod(b)
	for b.Loop() {
		if _, err := wire.ToJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSkipPod(b *testing.B) {
	_, data := pod(b)
	for b.Loop() {
		c := wire.NewCursor(data)
		if c.Skip(); c.Err() != nil {
			b.Fatal(c.Err())
		}
	}
}

// podView is what decisions read of a pod: about a dozen fields.
type podView struct {
	uid, owner, node, phase, reason, hash []byte
	deleted, readySince                   []byte
	ready, controller                     bool
	labels, conditions                    int
}

func (p *podView) metadata(c *wire.Cursor) {
	for range c.Map() {
		switch string(c.Str()) {
		case "uid":
			p.uid = c.Str()
		case "deletionTimestamp":
			p.deleted = c.Str()
		case "labels":
			for range c.Map() {
				p.labels++
				if string(c.Str()) == "controller-revision-hash" {
					p.hash = c.Str()
				} else {
					c.Skip()
				}
			}
		case "ownerReferences":
			for range c.Array() {
				for range c.Map() {
					switch string(c.Str()) {
					case "uid":
						p.owner = c.Str()
					case "controller":
						p.controller = c.Bool()
					default:
						c.Skip()
					}
				}
			}
		default:
			c.Skip()
		}
	}
}

func (p *podView) status(c *wire.Cursor) {
	for range c.Map() {
		switch string(c.Str()) {
		case "phase":
			p.phase = c.Str()
		case "reason":
			p.reason = c.Str()
		case "conditions":
			for range c.Array() {
				p.condition(c)
			}
		default:
			c.Skip()
		}
	}
}

func (p *podView) condition(c *wire.Cursor) {
	var is, status, since []byte
	for range c.Map() {
		switch string(c.Str()) {
		case "type":
			is = c.Str()
		case "status":
			status = c.Str()
		case "lastTransitionTime":
			since = c.Str()
		default:
			c.Skip()
		}
	}
	p.conditions++
	if string(is) == "Ready" {
		p.ready, p.readySince = string(status) == "True", since
	}
}

func viewOf(data []byte) (p podView, err error) {
	c := wire.NewCursor(data)
	for range c.Map() {
		switch string(c.Str()) {
		case "metadata":
			p.metadata(&c)
		case "spec":
			for range c.Map() {
				if string(c.Str()) == "nodeName" {
					p.node = c.Str()
				} else {
					c.Skip()
				}
			}
		case "status":
			p.status(&c)
		default:
			c.Skip()
		}
	}
	return p, c.Err()
}

// BenchmarkViewPod is the bar of the fold: 2 µs.
func BenchmarkViewPod(b *testing.B) {
	_, data := pod(b)
	for b.Loop() {
		v, err := viewOf(data)
		if err != nil || !v.ready || len(v.owner) == 0 || len(v.node) == 0 || v.labels != 4 {
			b.Fatal(v, err)
		}
	}
}
