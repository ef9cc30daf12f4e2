package manifest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/events"
)

// read reads one manifest from a text.
func read(t *testing.T, text string) ([]*Document, error) {
	t.Helper()
	return Read(t.Context(), Sources{Files: []string{"-"}, Stdin: strings.NewReader(text)})
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

// Documents are told apart as YAML and JSON tell them apart, and each counts its
// lines as the author of the manifest does.
func TestDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // names with the lines of their metadata.name
	}{
		"one":             {configMap("a"), "a:4"},
		"two":             {configMap("a") + "---\n" + configMap("b"), "a:4 b:9"},
		"comments":        {"# c\n---\n# d\n--- # e\n" + configMap("a") + "---\n\n---", "a:8"},
		"no line at end":  {configMap("a") + "---\n" + strings.TrimSpace(configMap("b")), "a:4 b:9"},
		"begins with ---": {"---\n" + configMap("a"), "a:5"},
		"after ---":       {"--- {apiVersion: v1, kind: ConfigMap,\nmetadata: {name: a}}", "a:2"},
		"a block":         {configMap("a") + "data:\n  x: |\n    ---\n    y\n---\n" + configMap("b"), "a:4 b:13"},
		"byte order mark": {"\xef\xbb\xbf" + configMap("a"), "a:4"},
		"CRLF":            {strings.ReplaceAll(configMap("a")+"---\n"+configMap("b"), "\n", "\r\n"), "a:4 b:9"},
		"JSON": {`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}

{"apiVersion":"v1","kind":"ConfigMap",
"metadata":{"name":"b"}}`, "a:1 b:4"},
		"a list": {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: b\n", "a:6 b:10"},
	} {
		docs, err := read(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, d := range docs {
			at := d.at(d.line("metadata.name"), "")
			got = append(got, d.GetName()+":"+at[strings.LastIndex(at, " ")+1:])
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

// The line of a field is that where it is written, or of what is around it.
func TestLines(t *testing.T) {
	docs, err := read(t, `# a comment
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
  labels: &labels
    app: agent
    example.com/x.y: z
spec:
  template:
    metadata:
      labels: *labels
    spec:
      containers:
      - name: first
      - name: main
        ports:
        - containerPort: 80
          protocol: UDP
        - containerPort: 80
          protocol: TCP
        env: [{name: A},
          {name: B}]
`)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"": 2, "kind": 3, "metadata": 4, "metadata.labels[example.com/x.y]": 8, "metadata.annotations": 4, "spec.selector": 9,
		"spec.template.spec.containers[1].name": 16, "spec.template.spec.containers[7].name": 14, "spec.template.spec.containers[1].env[1].name": 23,
		`spec.template.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"].protocol`: 21,
		"spec.template.metadata.labels.app": 7, "spec.template.spec.containers[": 14,
	} {
		if got := docs[0].line(path); got != want {
			t.Errorf("%s is on line %d, want %d", path, got, want)
		}
	}
}

// What is wrong in a manifest by itself is one error, with code and place.
func TestRefusedByThemselves(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "E-MAN-EMPTY: the manifest holds no object (standard input)",
		"# c\n---\n":                       "E-MAN-EMPTY",
		"a: b: c":                          "E-MAN-YAML: the document cannot be read (standard input): mapping values",
		configMap("a") + "---\nb:\n\tc: 1": "E-MAN-YAML: the document cannot be read (standard input: document 2 of 2: line 7)",
		"a: 1\nb: 2\na: 3":                 `E-MAN-DUPKEY: the document cannot be read (standard input: line 3): key "a" already set in map; keep one`,
		"text":                             "E-MAN-TYPE: the document is no object (standard input: line 1)",
		"apiVersion: v1":                   "E-MAN-KIND: the object has no kind (standard input: line 1: kind)",
		"kind: Pod":                        "E-MAN-API",
		"kind: Pod\napiVersion: a/b/c":     `E-MAN-API: "a/b/c" is no apiVersion (standard input: line 2: apiVersion)`,
		"kind: Pod\napiVersion: v1":        "E-MAN-NAME",
		configMap("a") + "---\n" + configMap("a"):          `E-MAN-DOC: ConfigMap "a" is there twice (standard input: document 2 of 2: line 6)`,
		"kind: List\napiVersion: v1\nitems: [{kind: Pod}]": "E-MAN-API: \"\" is no apiVersion (standard input: line 3: apiVersion)",
	} {
		_, err := read(t, text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	named := Sources{Files: []string{"-"}, Stdin: strings.NewReader(configMap("a") + "  namespace: x"), Namespace: "y"}
	if _, err := Read(t.Context(), named); err == nil || !strings.HasPrefix(err.Error(), `E-MAN-NAMESPACE: the namespace is "x", and "y" was asked for (standard input: line 5: metadata.namespace)`) {
		t.Errorf("%v", err)
	}
}

// Manifests are files, directories, patterns, URLs, kustomizations and examples.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": configMap("a"), "b.json": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`, "not.txt": "text", "below/c.yml": configMap("c"),
		"k/kustomization.yaml": "namePrefix: my-\nresources: [d.yaml]\n", "k/d.yaml": configMap("d"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer web.Close()
	for _, c := range []struct {
		from Sources
		want string
	}{
		{Sources{Files: []string{filepath.Join(dir, "a.yaml")}}, "a"},
		{Sources{Files: []string{dir}}, "a b"},
		{Sources{Files: []string{filepath.Join(dir, "below"), filepath.Join(dir, "a.yaml")}}, "c a"},
		{Sources{Files: []string{dir}, Recursive: true}, "E-MAN-KIND"}, // a kustomization is none
		{Sources{Files: []string{filepath.Join(dir, "[ab].*")}}, "a b"},
		{Sources{Files: []string{web.URL + "/a.yaml"}}, "a"},
		{Sources{Files: []string{web.URL + "/none"}}, "E-MAN-FILE: the manifest cannot be read (" + web.URL + "/none): 404"},
		{Sources{Files: []string{"http://[::1"}}, "E-MAN-FILE"},
		{Sources{Kustomize: filepath.Join(dir, "k")}, "my-d"},
		{Sources{Files: []string{filepath.Join(dir, "k")}}, "E-MAN-KIND: a kustomization is no object"},
		{Sources{Kustomize: dir}, "E-MAN-FILE"},
		{Sources{Files: []string{"example:nginx"}}, "nginx-daemonset"},
		{Sources{Files: []string{"example:ngin"}}, `E-MAN-FILE: there is no example "ngin" (example:ngin); did you mean nginx?`},
		{Sources{Files: []string{filepath.Join(dir, "none.yaml")}}, "E-MAN-FILE"},
		{Sources{Files: []string{t.TempDir()}}, "E-MAN-EMPTY: the directory holds no manifest"},
	} {
		docs, err := Read(t.Context(), c.from)
		var got []string
		for _, d := range docs {
			got = append(got, d.GetName())
		}
		s := strings.Join(got, " ")
		if err != nil {
			s = err.Error()
		}
		if s != c.want && (err == nil || !strings.HasPrefix(s, c.want)) {
			t.Errorf("%v: %s, want %s", c.from, s, c.want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(gone, Sources{Files: []string{web.URL + "/a.yaml"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a download that was stopped: %v", err)
	}
}

// Annotate gives DaemonSets what they do not have, and nothing else.
func TestAnnotate(t *testing.T) {
	const head = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: a\n"
	for text, want := range map[string]string{
		head:                           "9",
		head + "  annotations:":        "9",
		head + "  annotations: {x: z}": "9",
		head + "  annotations: {" + events.AnnotationDeadline + `: "5"}`: "5",
		head + "  annotations: {x: 5}":                                   "",
		configMap("a"):                                                   "",
	} {
		docs, err := read(t, text)
		if err != nil {
			t.Fatal(err)
		}
		Annotate(docs, map[string]string{events.AnnotationDeadline: "9"})
		if got := docs[0].GetAnnotations()[events.AnnotationDeadline]; got != want {
			t.Errorf("%q: annotation %q, want %q", text, got, want)
		}
	}
}
