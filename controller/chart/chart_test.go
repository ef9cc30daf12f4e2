package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/controller/chart"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
)

var rewrite = flag.Bool("rewrite", false, "write the pictures of testdata anew")

// charts returns a chart of each rollout of a recording.
func charts(t *testing.T, file string) (all []*chart.Chart) {
	t.Helper()
	r, err := recording.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	h, err := replay.Open(t.Context(), r, replay.NewMemoryKeyframes(200, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	rollouts, err := h.Rollouts(t.Context(), h.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range rollouts {
		c, err := chart.Of(t.Context(), h, x, replay.Point{Seq: h.Span().Last, Time: h.Span().To})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/recordings/*.rollcall")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	return files
}

// TestAttribution: the causes of a chart sum up to what the rollout had without an
// available pod at its peak.
func TestAttribution(t *testing.T) {
	for _, file := range recordings(t) {
		for _, c := range charts(t, file) {
			peak := 0
			for i, s := range c.Samples {
				n := 0
				for _, k := range s.Nodes[1:] {
					n += k
				}
				peak = max(peak, n)
				if i > 0 && (s.Seq <= c.Samples[i-1].Seq || !s.Time.After(c.Samples[i-1].Time)) {
					t.Errorf("%s: sample %d does not come after the one before", file, i)
				}
			}
			if peak < c.Rollout.PeakUnavailable-1 || peak > c.Rollout.PeakUnavailable {
				t.Errorf("%s: %s had %d nodes without an available pod, and its chart %d", filepath.Base(file), c.Rollout, c.Rollout.PeakUnavailable, peak)
			}
		}
	}
}

// TestSVG: every rollout of the recordings is drawn, as XML that can be read, with
// the same bytes each time; one is kept to be looked at.
func TestSVG(t *testing.T) {
	for _, file := range recordings(t) {
		again := charts(t, file)
		for i, c := range charts(t, file) {
			svg := chart.SVG(c)
			if !bytes.Equal(svg, chart.SVG(again[i])) {
				t.Errorf("%s: %s is drawn in two ways", file, c.Rollout)
			}
			for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %s: %v", file, c.Rollout, err)
				}
			}
			if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("http://")) && bytes.Count(svg, []byte("http")) > 1 {
				t.Errorf("%s: %s: %s", file, c.Rollout, svg)
			}
			if filepath.Base(file) == "zone-outage.rollcall" && c.Rollout.Revision == 2 {
				kept(t, svg)
			}
		}
	}
}

// TestPNG: a picture in points has what the SVG has, where that has it, and the same
// bytes each time; what others have written cannot break it.
func TestPNG(t *testing.T) {
	for _, c := range charts(t, filepath.Join("..", "..", "testdata", "recordings", "zone-outage.rollcall")) {
		b, err := chart.PNG(c)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := chart.PNG(c); err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s is drawn in two ways: %v", c.Rollout, err)
		}
		m, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var svg struct {
			Width  int `xml:"width,attr"`
			Height int `xml:"height,attr"`
			Rects  []struct {
				X    float64 `xml:"x,attr"`
				Y    float64 `xml:"y,attr"`
				Fill string  `xml:"fill,attr"`
			} `xml:"rect"`
		}
		if err := xml.Unmarshal(chart.SVG(c), &svg); err != nil {
			t.Fatal(err)
		}
		if got := m.Bounds().Size(); got.X != 2*svg.Width || got.Y != 2*svg.Height {
			t.Errorf("%s has %v points, and %d x %d pixels", c.Rollout, got, svg.Width, svg.Height)
		}
		for _, r := range svg.Rects[1:] { // the first is the ground
			red, green, blue, _ := m.At(int(2*r.X)+1, int(2*r.Y)+3).RGBA()
			if got := fmt.Sprintf("#%02x%02x%02x", red>>8, green>>8, blue>>8); got != r.Fill {
				t.Errorf("%s: at %g, %g there is %s, want %s", c.Rollout, r.X, r.Y, got, r.Fill)
			}
		}
		c.Rollout.Why = "</text>\x00" + strings.Repeat("é✕", 3000)
		if _, err := chart.PNG(c); err != nil {
			t.Error(err)
		}
	}
}

func kept(t *testing.T, svg []byte) {
	file := filepath.Join("testdata", "zone-outage.svg")
	if *rewrite {
		if err := os.WriteFile(file, svg, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, svg) {
		t.Errorf("the picture is not %s (-rewrite writes it): %v", file, err)
	}
}

// TestHostile: what others have written stays text, and a rollout of a thousand waves
// has a picture of a bounded height.
func TestHostile(t *testing.T) {
	c := charts(t, filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall"))[0]
	r := *c.Rollout
	r.Why, r.Images, r.Waves = "</text><script>alert(1)</script>\x1b[31m\x00", []string{`a"&b`}, nil
	for i := range 1000 {
		r.Waves = append(r.Waves, &replay.Wave{Point: replay.Point{Seq: r.Start.Seq + events.Seq(i), Time: r.Start.Time}, Nodes: []string{"a"}})
	}
	svg := string(chart.SVG(&chart.Chart{Rollout: &r, Until: c.Until, Causes: c.Causes, Samples: c.Samples}))
	if strings.Contains(svg, "<script") || strings.ContainsAny(svg, "\x1b\x00") {
		t.Error(svg)
	}
	r.Why = strings.Repeat("a long story ", 90)
	for _, line := range strings.Split(string(chart.SVG(&chart.Chart{Rollout: &r, Until: c.Until, Causes: c.Causes, Samples: c.Samples})), "\n") {
		if strings.Contains(line, "a long story") && len(line) > 250 {
			t.Errorf("it goes on beyond the edge: %s", line)
		}
	}
	if n := strings.Count(svg, "<rect"); n > 200 {
		t.Errorf("%d rectangles", n)
	}
}
