package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// scale is how many points of a PNG are one pixel of the SVG, each way: sharp on
// paper and on dense screens.
const scale = 2

// shown are signs that the font of a PNG does not have, as it has them.
var shown = strings.NewReplacer("✕", "×", "◔ ", "")

// PNG draws a chart in points: what SVG draws, which it reads.
func PNG(c *Chart) ([]byte, error) {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	p := &points{font: parsed, faces: map[float64]font.Face{}}
	in := xml.NewDecoder(bytes.NewReader(SVG(c)))
	for {
		t, err := in.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if e, ok := t.(xml.StartElement); ok {
			if err := p.element(in, e); err != nil {
				return nil, err
			}
		}
	}
	var out bytes.Buffer
	err = png.Encode(&out, p.image)
	return out.Bytes(), err
}

// points is a picture in points that is drawn.
type points struct {
	image *image.RGBA
	font  *opentype.Font
	faces map[float64]font.Face // by their size
	ink   string                // of what names no colour
	size  float64               // of letters that name none
}

// attributes are those of an element.
type attributes map[string]string

func (a attributes) number(name string) float64 {
	n, _ := strconv.ParseFloat(a[name], 64) // what is not there is 0
	return n
}

// element draws one element of what SVG makes.
func (p *points) element(in *xml.Decoder, e xml.StartElement) error {
	a := attributes{}
	for _, x := range e.Attr {
		a[x.Name.Local] = x.Value
	}
	switch e.Name.Local {
	case "svg":
		p.image = image.NewRGBA(image.Rect(0, 0, scale*int(a.number("width")), scale*int(a.number("height"))))
		p.ink, p.size = a["fill"], a.number("font-size")
	case "rect":
		if a["width"] == "100%" {
			draw.Draw(p.image, p.image.Bounds(), image.NewUniform(colourOf(a["fill"])), image.Point{}, draw.Src)
			return nil
		}
		p.box(a.number("x"), a.number("y"), a.number("width"), a.number("height"), a["fill"])
	case "line":
		p.line(a)
	case "path":
		p.path(a["d"], a["fill"])
	case "text":
		var text string
		if err := in.DecodeElement(&text, &e); err != nil {
			return err
		}
		return p.text(a, text)
	case "title", "desc":
		return in.Skip()
	default:
		return fmt.Errorf("draw %s: it has no form in points", e.Name.Local)
	}
	return nil
}

// colourOf reads #rrggbb.
func colourOf(text string) color.Color {
	n, _ := strconv.ParseUint(strings.TrimPrefix(text, "#"), 16, 32) // black, if it is none
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 0xff}
}

// fill draws what a rasteriser has, in a colour.
func (p *points) fill(z *vector.Rasterizer, colour string) {
	z.Draw(p.image, p.image.Bounds(), image.NewUniform(colourOf(colour)), image.Point{})
}

func (p *points) rasterizer() *vector.Rasterizer {
	b := p.image.Bounds()
	return vector.NewRasterizer(b.Dx(), b.Dy())
}

func (p *points) box(x, y, wide, tall float64, colour string) {
	r := image.Rect(int(scale*x), int(scale*y), int(scale*(x+wide)+0.5), int(scale*(y+tall)+0.5))
	draw.Draw(p.image, r, image.NewUniform(colourOf(colour)), image.Point{}, draw.Src)
}

// line draws one that is level or upright, as all are, in strokes if it has those.
func (p *points) line(a attributes) {
	x, y, to, below := a.number("x1"), a.number("y1"), a.number("x2"), a.number("y2")
	if a["stroke-dasharray"] == "" {
		p.box(x, y, max(to-x, 1), max(below-y, 1), a["stroke"])
		return
	}
	for ; x < to; x += 9 {
		p.box(x, y, min(5, to-x), 1, a["stroke"])
	}
}

// path draws an area of the commands that SVG writes: M, L, H and Z.
func (p *points) path(d, colour string) {
	z := p.rasterizer()
	var x, y float32
	for _, word := range strings.FieldsFunc(strings.NewReplacer("M", "\nM", "L", "\nL", "H", "\nH", "Z", "\nZ").Replace(d), func(r rune) bool { return r == '\n' }) {
		at := strings.Fields(word[1:])
		number := func(i int) float32 {
			n, _ := strconv.ParseFloat(at[i], 32) // SVG has written it
			return float32(scale * n)
		}
		switch word[0] {
		case 'M':
			x, y = number(0), number(1)
			z.MoveTo(x, y)
			continue
		case 'L':
			x, y = number(0), number(1)
		case 'H':
			x = number(0)
		case 'Z':
			z.ClosePath()
			continue
		}
		z.LineTo(x, y)
	}
	p.fill(z, colour)
}

// text writes a line. What is bold is written twice, side by side.
func (p *points) text(a attributes, text string) error {
	size := p.size
	if a["font-size"] != "" {
		size = a.number("font-size")
	}
	face := p.faces[size]
	if face == nil {
		var err error
		if face, err = opentype.NewFace(p.font, &opentype.FaceOptions{Size: scale * size, DPI: 72}); err != nil {
			return err
		}
		p.faces[size] = face
	}
	colour := p.ink
	if a["fill"] != "" {
		colour = a["fill"]
	}
	text = shown.Replace(text)
	d := &font.Drawer{Dst: p.image, Src: image.NewUniform(colourOf(colour)), Face: face}
	x := fixed.Int26_6(64 * scale * a.number("x"))
	switch a["text-anchor"] {
	case "end":
		x -= d.MeasureString(text)
	case "middle":
		x -= d.MeasureString(text) / 2
	}
	for _, aside := range []fixed.Int26_6{0, 64} {
		if aside > 0 && a["font-weight"] == "" {
			break
		}
		d.Dot = fixed.Point26_6{X: x + aside, Y: fixed.Int26_6(64 * scale * a.number("y"))}
		d.DrawString(text)
	}
	return nil
}
