package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"

	"rollcall/controller/replay"
	"rollcall/events"
)

// Bounds of a bundle.
const (
	// maxBundleEvents is how many events a recording may have that is put into a page.
	maxBundleEvents = 50_000
	// maxBundle is how many bytes a page with a recording may have: what mail takes.
	maxBundle = 24 << 20
)

// Bundle is a recording that is put into a page.
type Bundle struct {
	Name      string // of the recording, as commands name it
	Recording []byte
	Redacted  string // how it is redacted; empty: it is not
}

// tooLarge refuses a bundle, with what it would have.
func tooLarge(what string) error {
	return &events.Error{Code: "E-REC-BUNDLE", What: "the recording is too large for one page", Why: what,
		Do: "narrow it with --from and --to, or send the recording alone: rollcall ui --rec FILE shows it", Exit: events.ExitInput}
}

// WriteBundle returns a file that shows a recording in a browser, from disk and with
// nothing else: the modules of the page, the answers that it would ask for, and the
// recording. The answers are those of a page over that recording.
func WriteBundle(ctx context.Context, c Config, b Bundle) ([]byte, error) {
	p := New(c, "bundle")
	defer p.end()
	a, err := p.gather(ctx)
	if err != nil {
		return nil, err
	}
	a.Name = b.Name
	a.Missing = &events.Error{Code: "E-UI-BUNDLE", What: "this file does not say", Why: "it has the answers that were asked for when it was made, and no program that finds others",
		Do: "save the recording that is in it, as " + b.Name + ", and ask that: the command above names it", Exit: events.ExitInput}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write the answers: %w", err)
	}
	code, err := bundled()
	if err != nil {
		return nil, err
	}
	style, err := styles()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>rollcall</title>
<style>%s</style>
</head>
<body>
<a class="skip" href="#main">to the view</a>
<div id="bundle"><span>%s</span> <button class="small" id="save">save the recording</button> <span id="stands" role="status"></span></div>
`, allowed(code), allowed(style), style, html.EscapeString(says(c, b, a)))
	out.WriteString(`<header id="top"></header>
<main id="main" tabindex="-1"><p class="empty">The file is being read …</p></main>
<footer id="time"></footer>
<div id="said" class="hidden" role="status" aria-live="polite"></div>
<dialog id="help" aria-label="keys"></dialog>
`)
	for _, part := range []struct {
		id   string
		data []byte
	}{{"answers", packed(text)}, {"recording", b.Recording}} {
		fmt.Fprintf(&out, "<script type=\"text/plain\" id=\"%s\">%s</script>\n", part.id, base64.StdEncoding.EncodeToString(part.data))
	}
	fmt.Fprintf(&out, "<script>%s</script>\n</body>\n</html>\n", code)
	if out.Len() > maxBundle {
		return nil, tooLarge(fmt.Sprintf("the page would have %d MB, and may have %d", out.Len()>>20, maxBundle>>20))
	}
	return out.Bytes(), nil
}

// says is what a bundle says of itself.
func says(c Config, b Bundle, a *gathered) string {
	text := fmt.Sprintf("A file: cluster %s, #%d to #%d, made by rollcall %s. It asks no server.", c.Cluster, a.First, a.Last, c.Version)
	if b.Redacted != "" {
		text += " Redacted: " + b.Redacted + "."
	}
	return text
}

// styles is the style sheet of a bundle.
func styles() (string, error) {
	of, err := fs.ReadFile(web, "web/app.css")
	if err != nil {
		return "", err
	}
	more, err := fs.ReadFile(inBundle, "bundle/bundle.css")
	return string(of) + string(more), err
}

// allowed is how the policy of a page names a script or a style sheet.
func allowed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func packed(b []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, _ = z.Write(b) // into memory
		_ = z.Close()
	}
	return out.Bytes()
}

// gathered is what a bundle has besides the recording. Documents that are the same
// but for their instant are there once.
type gathered struct {
	Name     string                  `json:"name"` // of the recording
	First    events.Seq              `json:"first"`
	Last     events.Seq              `json:"last"`
	Coverage json.RawMessage         `json:"coverage"`
	Times    []int64                 `json:"times"` // when each event was stored, in milliseconds since 1970
	Info     json.RawMessage         `json:"info"`
	Events   []json.RawMessage       `json:"events"`
	Of       map[string][]events.Seq `json:"of"`    // positions of the events about each DaemonSet
	Cells    map[string]string       `json:"cells"` // of each DaemonSet: a stretch over all, packed
	Density  [2]json.RawMessage      `json:"density"`
	Plan     []events.Seq            `json:"plan"`
	Wave     []events.Seq            `json:"wave"`
	Stepwise []string                `json:"stepwise"` // paths of which an answer stands until the next
	Answers  map[string][][2]uint64  `json:"answers"`  // by path and query: position, number of the document
	Docs     []json.RawMessage       `json:"docs"`
	Missing  *events.Error           `json:"missing"` // what the page says of what it has no answer to
	docs     map[string]uint64       // numbers of documents, by their items
	sets     []string                // DaemonSets that were there, as "logging/agent"
	rolls    []*replay.Rollout       // up to the end
}
