package replay

import (
	"testing"

	"rollcall/events"
)

// TestCharterIsShown: the state says what the log is about, and the difference of
// two states says that it has changed, and at which event.
func TestCharterIsShown(t *testing.T) {
	w := tell(t)
	charter := func(m events.Mode) events.Seq {
		return w.append(events.Event{Type: events.Chartered, Body: events.Charter{Cluster: "ks", Version: "v1.36.3", Mode: m}})
	}
	from := charter(events.Shadow)
	to := charter(events.Control)
	x := w.ask()
	s, err := x.At(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := PictureOf(s); err != nil || p.Charter == nil || p.Charter.Mode != events.Shadow || p.Charter.Cluster != "ks" {
		t.Errorf("%+v, %v", p, err)
	}
	d, err := x.Diff(t.Context(), from, to, Filter{})
	if err != nil || len(d.Groups) != 1 || len(d.Groups[0].Changes) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if c := d.Groups[0].Changes[0]; c.Object != "charter/charter" || c.Is != "changed" || c.By != to || c.What != "mode shadow→control" {
		t.Errorf("%+v", c)
	}
	if d, err = x.Diff(t.Context(), from, to, Filter{Kind: events.Pod}); err != nil || len(d.Groups) > 0 {
		t.Errorf("of pods: %+v, %v", d, err)
	}
}
