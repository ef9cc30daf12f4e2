package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/recording"
)

// cutter makes recordings of parts of those in testdata.
type cutter struct {
	t   *testing.T
	dir string
	id  chain.Position // of the log that they say they are of
}

// recorded opens one of the six.
func (c cutter) recorded(name string) *recording.Recording {
	c.t.Helper()
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", name+".rollcall"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = r.Close() })
	return r
}

// cut makes a recording of some events of another.
func (c cutter) cut(name string, from *recording.Recording, first, last events.Seq, o recording.Options) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	o.Cluster = "demo"
	part := recording.Range{From: func(e events.Event) bool { return e.Seq >= first }, Until: func(e events.Event) bool { return e.Seq <= last }}
	if _, err := recording.Export(c.t.Context(), path, o, from, c.id, part, nil); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// TestRecorded: recordings are read as one log, in whatever order they are named, if
// each goes on from those before; what does not is refused with why.
func TestRecorded(t *testing.T) {
	c := cutter{t: t, dir: t.TempDir()}
	clean, stuck := c.recorded("clean-roll"), c.recorded("stuck-node")
	c.id = clean.Before()
	plain := recording.Options{}
	a, b, over := c.cut("a", clean, 1, 100, plain), c.cut("b", clean, 101, 200, plain), c.cut("over", clean, 60, 180, plain)
	in, far := c.cut("in", clean, 20, 80, plain), c.cut("far", clean, 150, 250, plain)
	// The ID of the log is that of a, as a copy may have it.
	other, otherIn := c.cut("other", stuck, 60, 220, plain), c.cut("other-in", stuck, 20, 80, plain)
	redacted := c.cut("redacted", clean, 101, 200, recording.Options{Redact: func(raw []byte) []byte { return raw }, Redacted: "nothing"})
	c.id.Log = "another"
	foreign := c.cut("foreign", clean, 101, 200, plain)
	for name, x := range map[string]struct {
		paths []string
		last  events.Seq // of a log that is whole; 0: they are refused
		why   string
	}{
		"one":                     {[]string{a}, 100, ""},
		"one after the other":     {[]string{a, b}, 200, ""},
		"in another order":        {[]string{b, a}, 200, ""},
		"the same twice":          {[]string{a, a}, 100, ""},
		"overlapping":             {[]string{over, a}, 180, ""},
		"one within another":      {[]string{in, b, a}, 200, ""},
		"many":                    {[]string{far, over, in, b, a}, 250, ""},
		"a gap":                   {[]string{far, a}, 0, "a ends with #100, and far begins after #149"},
		"other events":            {[]string{a, other}, 0, "up to #100 they have other events"},
		"other events, within":    {[]string{a, otherIn}, 0, "up to #80 they have other events"},
		"another log":             {[]string{a, foreign}, 0, "and foreign of another"},
		"what is redacted":        {[]string{a, redacted}, 0, "redacted is redacted"},
		"what is redacted, alone": {[]string{redacted}, 200, ""},
	} {
		r, err := openRecorded(t.Context(), x.paths)
		switch {
		case x.last == 0:
			var e *events.Error
			if why := strings.ReplaceAll(errorText(err), c.dir+string(filepath.Separator), ""); !errors.As(err, &e) || e.Code != "E-REC-SEAM" || e.Exit != events.ExitInput || !strings.Contains(why, x.why) {
				t.Errorf("%s: %v, want %q", name, err, x.why)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			readsTo(t, name, r, x.last)
			r.close()
		}
	}
}

// readsTo wants a log to be read to its last position from wherever one begins.
func readsTo(t *testing.T, name string, r recordedLog, last events.Seq) {
	t.Helper()
	for _, after := range []events.Seq{r.Before().Seq, last / 2, last} {
		at := max(after, r.Before().Seq)
		for e, err := range r.Read(t.Context(), at) {
			if err != nil || e.Seq != at+1 {
				t.Fatalf("%s: after #%d comes #%d, %v", name, at, e.Seq, err)
			}
			at = e.Seq
		}
		if info, err := r.Info(t.Context()); err != nil || at != last || info.Last != last {
			t.Errorf("%s: read from #%d to #%d, %+v, %v; want #%d", name, after, at, info, err, last)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
