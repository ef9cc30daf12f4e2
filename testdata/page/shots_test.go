package page

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the pictures in golden anew")

// A picture is compared by the mean light of squares of so many pixels: letters and
// their edges differ from one set of fonts to the next, and what is where does not. A
// square is like another picture's if it has the light of some square near it there,
// but for a little; and of the squares few may not be.
const (
	square  = 20
	little  = 14   // of 255
	fewEach = 0.03 // of the squares
)

// like fails if what is shown is another picture than the one that is kept.
func (b *tab) like(name string) {
	b.t.Helper()
	b.until("document.querySelector('rc-bar').marks.length > 0 && document.querySelector('rc-bar').rollouts.length > 0")
	small := shrunk(b.t, b.shot(name))
	path := filepath.Join("golden", name+".png")
	if *rewrite {
		var out bytes.Buffer
		if err := png.Encode(&out, small); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			b.t.Fatal(err)
		}
		return
	}
	if other := differing(small, kept(b.t, path)); other > fewEach {
		b.t.Errorf("%s: %.1f %% of it looks otherwise than in %s, and %.0f %% may; see the picture that -shots keeps, and write it anew with -rewrite if it is right", name, 100*other, path, 100*fewEach)
	}
}

// kept is a picture of squares.
func kept(t *testing.T, path string) *image.Gray {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	small, ok := m.(*image.Gray)
	if !ok {
		t.Fatalf("%s is no picture that -rewrite has written", path)
	}
	return small
}

// differing is how much of two pictures is not alike, of 1.
func differing(a, b *image.Gray) float64 {
	if a.Rect != b.Rect {
		return 1
	}
	n := 0
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			if !near(b, x, y, a.GrayAt(x, y).Y) || !near(a, x, y, b.GrayAt(x, y).Y) {
				n++
			}
		}
	}
	return float64(n) / float64(len(a.Pix))
}

// near reports whether a picture has a light at a square or beside it.
func near(m *image.Gray, x, y int, light uint8) bool {
	low, high := 255, 0
	for j := max(0, y-1); j <= min(m.Rect.Dy()-1, y+1); j++ {
		for i := max(0, x-1); i <= min(m.Rect.Dx()-1, x+1); i++ {
			low, high = min(low, int(m.GrayAt(i, j).Y)), max(high, int(m.GrayAt(i, j).Y))
		}
	}
	return int(light) >= low-little && int(light) <= high+little
}

// shrunk is a picture of the mean light of each square.
func shrunk(t *testing.T, shot []byte) *image.Gray {
	t.Helper()
	is, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	r := is.Bounds()
	m := image.NewRGBA(r)
	draw.Draw(m, r, is, r.Min, draw.Src)
	out := image.NewGray(image.Rect(0, 0, r.Dx()/square, r.Dy()/square))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			sum := 0
			for j := range square {
				row := m.Pix[m.PixOffset(r.Min.X+x*square, r.Min.Y+y*square+j):][:4*square]
				for i := 0; i < len(row); i += 4 {
					sum += 2*int(row[i]) + 5*int(row[i+1]) + int(row[i+2])
				}
			}
			out.Pix[out.PixOffset(x, y)] = uint8(sum / 8 / square / square)
		}
	}
	return out
}

// TestPictures: a layout that is broken is another picture, and other letters are
// not: what tells pictures apart does.
func TestPictures(t *testing.T) {
	s := serve(t, "ui", "--rec", fmt.Sprintf(*wide, 1000))
	b := browse(t)
	b.enter(s)
	for _, v := range views {
		if v.name != "overview" && v.name != "nodes" && v.name != "rollouts" {
			continue
		}
		b.show(v.hash(""))
		b.until(v.needs)
		want := kept(t, filepath.Join("golden", "1000-"+v.name+".png"))
		for _, c := range []struct {
			style string
			same  bool
		}{
			{"", true},
			{`:root { --font: "Liberation Sans"; --mono: "Liberation Mono" }`, true},
			{"header { flex-direction: column }", false},
			{"footer { display: none }", false},
			{"main { padding-left: 200px }", false},
			{"main > div { margin-top: 70px }", false},
			{"main > div:not(.head) { visibility: hidden }", false},
			{"main { columns: 2 }", false},
			{"* { font-size: 20px }", false},
		} {
			eval[bool](b, fmt.Sprintf("(() => { const s = new CSSStyleSheet(); s.replaceSync(%q); document.adoptedStyleSheets = [s]; return true; })()", c.style))
			eval[bool](b, "new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => then(true))))")
			if other := differing(shrunk(t, b.shot("broken")), want); (other <= fewEach) != c.same {
				t.Errorf("%s with %q: %.1f %% is otherwise", v.name, c.style, 100*other)
			} else {
				t.Logf("%s with %q: %.1f %% is otherwise", v.name, c.style, 100*other)
			}
		}
	}
}
