package page

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
)

var rewrite = flag.Bool("rewrite", false, "write the pictures in golden anew")

// A picture is compared by the mean light of squares of so many pixels: letters and
// their edges differ from one set of fonts to the next, and what is where does not.
// Of the squares few may differ by more than a little.
const (
	square  = 40
	little  = 28   // of 255
	fewEach = 0.06 // of the squares
)

// like fails if what is shown is another picture than the one that is kept.
func (b *tab) like(name string) {
	b.t.Helper()
	b.until("document.querySelector('rc-bar').marks.length > 0 && document.querySelector('rc-bar').rollouts.length > 0")
	is, err := png.Decode(bytes.NewReader(b.shot(name)))
	if err != nil {
		b.t.Fatal(err)
	}
	small := shrunk(is)
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
	f, err := os.Open(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		b.t.Fatal(err)
	}
	if want.Bounds() != small.Bounds() {
		b.t.Errorf("%s: the picture has %v squares, and the kept one %v", name, small.Bounds().Max, want.Bounds().Max)
		return
	}
	other := 0
	for i, light := range small.Pix {
		r := want.Bounds()
		w := color.GrayModel.Convert(want.At(i%r.Dx(), i/r.Dx())).(color.Gray).Y
		if d := int(light) - int(w); d > little || d < -little {
			other++
		}
	}
	if most := int(fewEach * float64(len(small.Pix))); other > most {
		b.t.Errorf("%s: %d of %d squares look otherwise than in %s, and %d may; see the picture that -shots keeps, and write it anew with -rewrite if it is right", name, other, len(small.Pix), path, most)
	}
}

// shrunk is a picture of the mean light of each square.
func shrunk(m image.Image) *image.Gray {
	r := m.Bounds()
	out := image.NewGray(image.Rect(0, 0, r.Dx()/square, r.Dy()/square))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			sum := 0
			for j := range square {
				for i := range square {
					sum += int(color.GrayModel.Convert(m.At(r.Min.X+x*square+i, r.Min.Y+y*square+j)).(color.Gray).Y)
				}
			}
			out.SetGray(x, y, color.Gray{Y: uint8(sum / square / square)})
		}
	}
	return out
}
