// Package manifest reads the manifests that a user names and makes their objects
// so through the API of a cluster: all of them or, if one is refused, none. A
// refusal is one line that names the file, the line in it and the field.
package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/events/files"
	"rollcall/testdata/manifests"
)

// maxBytes bounds the bytes of one manifest, so that a wrong name does not
// fill the memory.
const maxBytes = 64 << 20

// ExamplePrefix begins the name of a manifest that is in the program.
const ExamplePrefix = "example:"

// Sources name manifests, and say how they are read.
type Sources struct {
	Files     []string // files, directories, patterns, URLs, examples; "-" is Stdin
	Kustomize string   // a directory with a kustomization, instead of Files
	Recursive bool     // the directories below those of Files are read too
	Namespace string   // of objects that name none, and the only one then; empty: default
	Stdin     io.Reader
}

// source is one manifest: a file, or what else is read as one.
type source struct {
	name  string
	data  []byte
	built bool // by kustomize: its lines are nobody's
}

// Read reads all objects of the manifests. What is wrong in a manifest by itself,
// whatever the cluster has, is refused; then none is returned.
func Read(ctx context.Context, from Sources) ([]*Document, error) {
	var all []*Document
	for _, name := range from.Files {
		read, err := from.read(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, m := range read {
			docs, err := m.parse()
			if err != nil {
				return nil, err
			}
			all = append(all, docs...)
		}
	}
	if from.Kustomize != "" {
		m, err := kustomize(from.Kustomize)
		if err != nil {
			return nil, err
		}
		if all, err = m.parse(); err != nil {
			return nil, err
		}
	}
	return all, checkAll(all, from.Namespace)
}

// read reads what one of the Files names.
func (from Sources) read(ctx context.Context, name string) ([]source, error) {
	switch {
	case strings.HasPrefix(name, ExamplePrefix):
		m, err := example(name)
		return []source{m}, err
	case name == "-":
		m, err := readAll("standard input", from.Stdin)
		return []source{m}, err
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		m, err := download(ctx, name)
		return []source{m}, err
	}
	names := []string{name}
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		if found, _ := filepath.Glob(name); len(found) > 0 { // a pattern that is none is a name
			names = found
		}
	}
	var all []source
	for _, name := range names {
		read, err := readPath(name, from.Recursive)
		if err != nil {
			return nil, err
		}
		all = append(all, read...)
	}
	return all, nil
}

// readPath reads a file, or the manifests of a directory.
func readPath(path string, recursive bool) ([]source, error) {
	visitors, err := resource.ExpandPathsToFileVisitors(nil, path, recursive, resource.FileExtensions, nil)
	if err != nil {
		return nil, fileError(path, err)
	}
	if len(visitors) == 0 {
		return nil, &events.Error{Code: "E-MAN-EMPTY", What: "the directory holds no manifest", Where: path,
			Why: "files that end in " + strings.Join(resource.FileExtensions, ", ") + " are read", Do: "name a file, or give --recursive", Exit: events.ExitInput}
	}
	var all []source
	for _, v := range visitors {
		path := v.(*resource.FileVisitor).Path
		if strings.HasPrefix(strings.ToLower(filepath.Base(path)), "kustomization") {
			return nil, &events.Error{Code: "E-MAN-KIND", What: "a kustomization is no object", Where: path,
				Do: "give its directory with --kustomize instead of --filename", Exit: events.ExitInput}
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, fileError(path, err)
		}
		m, err := readAll(path, f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// example returns a manifest that is in the program.
func example(path string) (source, error) {
	data, err := Example(strings.TrimPrefix(path, ExamplePrefix))
	return source{name: path, data: data}, err
}

// Example returns the text of a manifest that is in the program.
func Example(name string) ([]byte, error) {
	data, ok := manifests.Read(name)
	if ok {
		return data, nil
	}
	return nil, &events.Error{Code: "E-MAN-FILE", What: fmt.Sprintf("there is no example %q", name), Where: ExamplePrefix + name,
		Do: events.Suggest(name, manifests.Names(), "choose from "+strings.Join(manifests.Names(), ", ")), Exit: events.ExitInput}
}

// download reads a manifest from a web server.
func download(ctx context.Context, url string) (source, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return source{}, fileError(url, err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return source{}, fileError(url, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return source{}, fileError(url, errors.New(resp.Status))
	}
	return readAll(url, resp.Body)
}

// kustomize builds what a directory with a kustomization says.
func kustomize(dir string) (source, error) {
	built, err := resource.NewLocalBuilder().Unstructured().FilenameParam(false, &resource.FilenameOptions{Kustomize: dir}).Do().Infos()
	if err != nil {
		return source{}, fileError(dir, err)
	}
	var all bytes.Buffer
	for _, i := range built {
		data, err := yaml.Marshal(i.Object)
		if err != nil {
			return source{}, fileError(dir, err)
		}
		all.WriteString("---\n")
		all.Write(data)
	}
	return source{name: dir, data: all.Bytes(), built: true}, nil
}

func readAll(name string, r io.Reader) (source, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err == nil && len(data) > maxBytes {
		err = fmt.Errorf("it has more than %d bytes", maxBytes)
	}
	if err != nil {
		return source{}, fileError(name, err)
	}
	return source{name: name, data: data}, nil
}

func fileError(name string, err error) error {
	return &events.Error{Code: "E-MAN-FILE", What: "the manifest cannot be read", Where: name, Why: files.Reason(err), Exit: events.ExitInput, Err: err}
}

// parse returns the objects of a manifest.
func (f source) parse() ([]*Document, error) {
	texts := f.split()
	var all []*Document
	for i, text := range texts {
		docs, err := (&Document{source: f, index: i + 1, count: len(texts), text: text}).parse()
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	if len(all) == 0 {
		return nil, &events.Error{Code: "E-MAN-EMPTY", What: "the manifest holds no object", Where: f.name, Exit: events.ExitInput}
	}
	return all, nil
}

// split returns the documents of a manifest that are more than comments: those
// of YAML begin at lines with ---, those of JSON follow each other. Before each
// stand as many empty lines as there are lines before it in the manifest, so that
// whoever reads it counts lines as its author does.
func (f source) split() [][]byte {
	var texts [][]byte
	var text []byte
	line := 0
	add := func() {
		if something(text) {
			texts = append(texts, pieces(text)...)
		}
		text = bytes.Repeat([]byte("\n"), line)
	}
	for l := range bytes.Lines(bytes.TrimPrefix(f.data, []byte("\xef\xbb\xbf"))) {
		if rest, ok := bytes.CutPrefix(l, []byte("---")); ok && bytes.TrimLeft(rest[:min(1, len(rest))], " \t\r\n") == nil {
			add()
			l = append([]byte("   "), rest...)
		}
		text = append(text, l...)
		line++
	}
	add()
	return texts
}

// something reports whether a text is more than comments.
func something(text []byte) bool {
	for l := range bytes.Lines(text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
			return true
		}
	}
	return false
}

// pieces returns the JSON objects that follow each other in a text; one that is
// not JSON is one piece.
func pieces(text []byte) [][]byte {
	var all [][]byte
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		switch err := d.Decode(&raw); {
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all
		case err != nil:
			return [][]byte{text}
		}
		before := bytes.Count(text[:int(d.InputOffset())-len(raw)], []byte("\n"))
		all = append(all, append(bytes.Repeat([]byte("\n"), before), raw...))
	}
}
