package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"go.yaml.in/yaml/v3"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/gate"
	"rollcall/publisher/manifest"
	"rollcall/testdata/manifests"
)

// file is a manifest that was read and is well in itself.
type file struct {
	name string
	data []byte
}

func (f file) request(namespace, actor string) gate.ApplyRequest {
	return gate.ApplyRequest{Actor: actor, File: f.name, Manifest: string(f.data), Namespace: namespace}
}

// readManifests reads all manifests and refuses what the gate would refuse of a
// new cluster. If one is refused, none is returned.
func (s *session) readManifests(ctx context.Context, paths []string, namespace string) ([]file, error) {
	var files []file
	for _, path := range paths {
		f, err := s.readManifest(path)
		if err != nil {
			return nil, err
		}
		if err := rehearse(ctx, f, namespace); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// rehearse applies a manifest to a log that nobody reads.
func rehearse(ctx context.Context, f file, namespace string) error {
	subjects, err := events.NewSubjects(defaultCluster)
	if err != nil {
		return err
	}
	log := memlog.New(subjects, time.Now)
	_, err = gate.New(log, subjects, foldedStore{log}, time.Now, ulid.Make, newUID).Apply(ctx, f.request(namespace, ""))
	return err
}

// foldedStore is the state of a log that is folded anew for every view.
type foldedStore struct{ log events.Log }

// View implements gate.Store.
func (s foldedStore) View(ctx context.Context, _ events.Seq, f func(gate.Objects)) error {
	st := projector.New("")
	for e, err := range s.log.Read(ctx, 0) {
		if err != nil {
			return err
		}
		projector.Fold(st, e)
	}
	f(st)
	return nil
}

// examplePrefix begins the name of a manifest that is in the program.
const examplePrefix = "example:"

// readExample returns a manifest that is in the program.
func readExample(path string) (file, error) {
	name := strings.TrimPrefix(path, examplePrefix)
	data, ok := manifests.Read(name)
	if ok {
		return file{path, data}, nil
	}
	list := "choose from " + strings.Join(manifests.Names(), ", ")
	return file{}, &events.Error{Code: "E-MAN-FILE", What: fmt.Sprintf("there is no example %q", name), Where: path,
		Do: suggestion(name, manifests.Names(), list), Exit: events.ExitInput}
}

func (s *session) readManifest(path string) (file, error) {
	if strings.HasPrefix(path, examplePrefix) {
		return readExample(path)
	}
	if path != "-" {
		data, err := gate.ReadManifest(path)
		return file{path, data}, err
	}
	data, err := io.ReadAll(io.LimitReader(s.in, manifest.MaxBytes+1))
	if err != nil {
		return file{}, &events.Error{Code: "E-MAN-FILE", What: "standard input cannot be read", Why: err.Error(), Exit: events.ExitInput, Err: err}
	}
	return file{"standard input", data}, nil
}

// annotate writes annotations into the DaemonSets of manifests that do not have
// them. Everything else stays as it is written.
func annotate(files []file, annotations map[string]string) error {
	if len(annotations) == 0 {
		return nil
	}
	for i := range files {
		data, err := annotated(files[i].data, annotations)
		if err != nil {
			return fmt.Errorf("annotate %s: %w", files[i].name, err)
		}
		files[i].data = data
	}
	return nil
}

func annotated(data []byte, annotations map[string]string) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out.Bytes(), enc.Close()
		}
		if err != nil {
			return nil, err
		}
		if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
			continue // it holds nothing but comments
		}
		if k := child(doc.Content[0], "kind"); k != nil && k.Value == string(events.DaemonSet) {
			annotateDocument(doc.Content[0], annotations)
		}
		if err := enc.Encode(&doc); err != nil {
			return nil, err
		}
	}
}

func annotateDocument(root *yaml.Node, annotations map[string]string) {
	at := child(root, "metadata")
	if at == nil {
		return
	}
	into := child(at, "annotations")
	if into == nil || into.Kind != yaml.MappingNode {
		if into != nil && into.Tag != "!!null" {
			return // a list of aliases and the like is left to who reads it
		}
		fresh := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if into != nil {
			*into = *fresh
		} else {
			into = fresh
			at.Content = append(at.Content, scalar("annotations"), into)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		if child(into, k) == nil {
			into.Content = append(into.Content, scalar(k), scalar(annotations[k]))
		}
	}
}

func scalar(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s}
}

// child returns the value of a key of a mapping, or nil.
func child(m *yaml.Node, key string) *yaml.Node {
	for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			if v := m.Content[i+1]; v.Kind == yaml.AliasNode {
				return v.Alias
			}
			return m.Content[i+1]
		}
	}
	return nil
}

// printReply says what became of a request, one line an object.
func (s *session) printReply(r gate.Reply) {
	for _, w := range r.Warnings {
		fmt.Fprintln(s.err, "warning: "+w)
	}
	for _, x := range r.Results {
		s.out.printf("%s\n", x.What)
	}
}

// actor returns the name of the user, to be told with what was done.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
