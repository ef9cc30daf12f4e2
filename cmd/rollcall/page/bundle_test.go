package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
)

// opened is a page over a recording that is looked at in no browser.
func opened(file string) Config {
	return Config{Cluster: "demo", Target: "--rec x.rollcall", Version: "test", Open: func(context.Context) (*Past, error) {
		r, err := recording.Open(file)
		if err != nil {
			return nil, err
		}
		return &Past{Log: r, Frames: replay.NewMemoryKeyframes(100, 8<<20), Close: func() { r.Close() }, Moment: func(ctx context.Context, at replay.Instant, last events.Seq) (m replay.Moment, err error) {
			if at, err = at.Locate(ctx, r, time.Now()); err != nil {
				return m, err
			}
			return at.Find(ctx, r, last)
		}}, nil
	}}
}

var parts = regexp.MustCompile(`<script type="text/plain" id="(\w+)">([^<]*)</script>`)

// TestBundle: a page in a file has the recording, and answers that are those of a
// server; what of it is no data is small, and reaches nothing.
func TestBundle(t *testing.T) {
	rec, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	made, err := WriteBundle(t.Context(), opened(recorded), Bundle{Name: "x.rollcall", Recording: rec})
	if err != nil {
		t.Fatal(err)
	}
	text := string(made)
	data := map[string][]byte{}
	for _, m := range parts.FindAllStringSubmatch(text, -1) {
		if data[m[1]], err = base64.StdEncoding.DecodeString(m[2]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(data["recording"], rec) {
		t.Error("the recording in it is another")
	}
	viewer := parts.ReplaceAllString(text, "")
	if len(viewer) > 2<<20 {
		t.Errorf("the page without data has %d bytes", len(viewer))
	}
	for _, wrong := range []string{"src=", "href=\"http", "import ", "'unsafe", "connect-src", "fetch("} {
		if strings.Contains(viewer, wrong) {
			t.Errorf("the page has %q", wrong)
		}
	}
	if !strings.Contains(viewer, `content="default-src 'none'; script-src 'sha256-`) {
		t.Error("the page has no policy")
	}
	compareAnswers(t, data["answers"])
	t.Logf("%d bytes: %d of them the recording, %d answers", len(text), len(rec), len(data["answers"]))
}

// compareAnswers holds answers of a bundle against those of a page that is asked anew.
func compareAnswers(t *testing.T, packed []byte) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var a gathered
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	p := New(opened(recorded), "bundle")
	defer p.end()
	n := 0
	for i, key := range slices.Sorted(maps.Keys(a.Answers)) {
		if i%5 != 0 && !strings.HasSuffix(key, "?") {
			continue
		}
		of := a.Answers[key]
		path, query, _ := strings.Cut(key, "?")
		at := of[len(of)/2]
		queries := []string{"at=" + strings.Trim(string(must(json.Marshal(at[0]))), `"`)}
		if query != "" {
			queries = append(queries, strings.Split(query, "&")...)
		}
		fresh, err := p.put(t.Context(), path, queries...)
		if err != nil {
			t.Fatal(err)
		}
		var was, is envelope
		if err := errors.Join(json.Unmarshal(a.Docs[at[1]], &was), json.Unmarshal(fresh, &is)); err != nil {
			t.Fatal(err)
		}
		if x, y := must(json.Marshal(was)), must(json.Marshal(is)); !bytes.Equal(x, y) {
			t.Errorf("%s at #%d is in the bundle\n%s, and of the page\n%s", key, at[0], x, y)
		}
		n++
	}
	if n < 20 || len(a.Events) != int(a.Last-a.First)+1 || len(a.Cells) == 0 {
		t.Errorf("%d questions, %d events, %d DaemonSets", n, len(a.Events), len(a.Cells))
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestBundled: a module of a form that a bundle cannot have is refused.
func TestBundled(t *testing.T) {
	text, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(text, "class Refusal") != 1 {
		t.Error("lib/api.js is in it twice, or as it asks a server")
	}
	if strings.Contains(text, "EventSource(") {
		t.Error("it follows a server")
	}
	for _, form := range []string{"export default 1", "export { a };", "  import x from \"./y.js\"", "const a = await import(\"./x.js\")"} {
		if unknownForm.FindString(form) == "" {
			t.Errorf("%q is let pass", form)
		}
	}
}
