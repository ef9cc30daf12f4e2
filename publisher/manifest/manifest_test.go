package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/publisher/manifest"
)

// agent is a small valid DaemonSet; tests change one line of it.
const agent = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
  namespace: prod
spec:
  selector:
    matchLabels:
      app: agent
  template:
    metadata:
      labels:
        app: agent
    spec:
      containers:
      - name: main
        image: agent:1
`

// with returns agent with the first old replaced by new.
func with(t *testing.T, old, new string) string {
	t.Helper()
	if !strings.Contains(agent, old) {
		t.Fatalf("the manifest has no %q", old)
	}
	return strings.Replace(agent, old, new, 1)
}

// spec adds lines to spec, pod to the pod's spec, container to its container.
func spec(lines string) string {
	return strings.Replace(agent, "spec:\n", "spec:\n"+indent(lines, 2), 1)
}
func pod(lines string) string { return agent + indent(lines, 6) }
func container(lines string) string {
	return agent + indent(lines, 8)
}

func indent(lines string, n int) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(strings.Repeat(" ", n) + line)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func budget(lines string) string {
	return spec("updateStrategy:\n  rollingUpdate:\n" + indent(lines, 4))
}

var stamp = manifest.Stamp{UID: "11111111-2222-4333-8444-555555555555", Now: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}

// read parses, completes and checks a manifest of new objects.
func read(data string) ([]manifest.Document, error) {
	docs, err := manifest.Parse("f.yaml", []byte(data))
	if err != nil {
		return nil, err
	}
	for i := range docs {
		if err := docs[i].InNamespace(""); err != nil {
			return nil, err
		}
		manifest.PrepareCreate(docs[i].Object, stamp)
		if err := docs[i].Check(nil); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

func mustRead(t *testing.T, data string) *appsv1.DaemonSet {
	t.Helper()
	docs, err := read(data)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	ds, ok := docs[0].Object.(*appsv1.DaemonSet)
	if !ok {
		t.Fatalf("got %T, want a DaemonSet", docs[0].Object)
	}
	return ds
}

// checkRefusal fails the test unless err is a complete refusal that has code
// and holds every one of the parts.
func checkRefusal(t *testing.T, err error, code string, parts ...string) {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a refusal %s", err, code)
	}
	if e.Code != code || e.Exit != events.ExitInput || e.What == "" || e.Do == "" || !strings.HasPrefix(e.Where, "f.yaml") {
		t.Errorf("got %+v, want code %s, exit 2, what, do and a place in f.yaml", *e, code)
	}
	if line := e.Error(); strings.ContainsAny(line, "\n\r\t") {
		t.Errorf("more than one line: %q", line)
	}
	for _, p := range parts {
		if !strings.Contains(e.Error(), p) {
			t.Errorf("%q\nlacks %q", e.Error(), p)
		}
	}
}

func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	return b.String()
}

// refusal is a manifest that is refused: row of the catalogue, code, and what
// the line has to say.
type refusal struct {
	row, data, code string
	parts           []string
}

func checkRefusals(t *testing.T, rs []refusal) {
	t.Helper()
	for _, r := range rs {
		t.Run(r.row, func(t *testing.T) {
			_, err := read(r.data)
			checkRefusal(t, err, r.code, r.parts...)
		})
	}
}

// TestReadingRefuses has files that are no manifests, or not of a kind, form
// or type that is taken.
func TestReadingRefuses(t *testing.T) {
	long := strings.Repeat("a", 254)
	checkRefusals(t, []refusal{
		{"M1 empty", "", "E-MAN-EMPTY", nil},
		{"M1 comments", "# nothing\n---\n# here\n", "E-MAN-EMPTY", nil},
		{"M2 tab", "apiVersion: apps/v1\n\tkind: DaemonSet\n", "E-MAN-YAML", []string{"line 2", "tab used for indentation"}},
		{"M2 tab in a block", with(t, "  namespace: prod", "\tnamespace: prod"), "E-MAN-YAML", []string{"line 5", "tab used for indentation"}},
		{"M2 other syntax", with(t, "kind: DaemonSet", "kind: DaemonSet: x"), "E-MAN-YAML", []string{"line 2", "not YAML"}},
		{"M3 alias bomb", bomb(9), "E-MAN-YAML", []string{"too many aliases"}},
		{"M3 node in itself", "a: &a [*a]\n", "E-MAN-YAML", nil},
		{"M4 depth 20,000", strings.Repeat("[", 20000), "E-MAN-YAML", []string{"nested too deep"}},
		{"M4 depth 100", strings.Repeat("[", 100) + strings.Repeat("]", 100), "E-MAN-YAML", []string{"nested too deep"}},
		{"M5 size", strings.Repeat("#", 3<<20+1), "E-MAN-SIZE", []string{"3145729", "3145728"}},
		{"M6 duplicate key", container("image: agent:2\n"), "E-MAN-DUPKEY", []string{"line 18", `"image"`, "already set on line 17", "containers[0].image"}},
		{"M7 unknown field", budget("maxUnavaliable: 1\n"), "E-MAN-FIELD", []string{"line 9", "did you mean maxUnavailable?", "spec.updateStrategy.rollingUpdate.maxUnavaliable"}},
		{"M7 field of another case", with(t, "namespace:", "Namespace:"), "E-MAN-FIELD", []string{"did you mean namespace?"}},
		{"M7 field of the pod", spec("tolerations: []\n"), "E-MAN-FIELD", []string{"spec.template.spec"}},
		{"M7 replicas", spec("replicas: 3\n"), "E-MAN-FIELD", []string{"one pod on each node"}},
		{"M8 second document", agent + "---\n" + with(t, "name: agent", "name: Agent"), "E-MAN-NAME", []string{"document 2 of 2", "line 22"}},
		{"M8 second does not parse", agent + "---\nkind: [\n", "E-MAN-YAML", []string{"document 2 of 2"}},
		{"M8 the same behind a byte order mark", "\xef\xbb\xbf---\n" + agent + "---\nkind: [\n", "E-MAN-YAML", []string{"document 2 of 2"}},
		{"M9 kind", with(t, "DaemonSet", "Deployment"), "E-MAN-KIND", []string{"line 2", "want one of DaemonSet"}},
		{"M9 kind misspelt", with(t, "DaemonSet", "daemonSets"), "E-MAN-KIND", []string{"did you mean DaemonSet?"}},
		{"M9 kind missing", with(t, "kind: DaemonSet\n", ""), "E-MAN-KIND", []string{"kind is missing"}},
		{"M9 revision", with(t, "DaemonSet", "ControllerRevision"), "E-MAN-KIND", []string{"rollout undo"}},
		{"M10 version", with(t, "apps/v1", "extensions/v1beta1"), "E-MAN-API", []string{"line 1", "use apiVersion: apps/v1"}},
		{"M10 no version", with(t, "apiVersion: apps/v1\n", ""), "E-MAN-API", []string{"apiVersion is missing"}},
		{"M11 no name", with(t, "  name: agent\n", ""), "E-MAN-NAME", []string{"metadata.name"}},
		{"M11 dots", with(t, "name: agent", "name: a..b"), "E-MAN-NAME", []string{"line 4"}},
		{"M11 upper case", with(t, "name: agent", "name: Agent"), "E-MAN-NAME", nil},
		{"M11 length", with(t, "name: agent", "name: "+long), "E-MAN-NAME", []string{"253"}},
		{"M12 boolean", with(t, "name: agent", "name: no"), "E-MAN-TYPE", []string{`quote it: "no"`, "is a boolean in YAML", "line 4"}},
		{"M13 octal", with(t, "name: agent", "name: 0777"), "E-MAN-TYPE", []string{`quote it: "0777"`}},
		{"M13 float", with(t, "name: agent", "name: 1e3"), "E-MAN-TYPE", nil},
		{"M13 date", with(t, "name: agent", "name: 2026-01-01"), "E-MAN-TYPE", []string{"a date"}},
		{"M13 null", with(t, "name: agent", "name: ~"), "E-MAN-TYPE", nil},
		{"M33 UTF-16", "\xff\xfea\x00:\x00", "E-MAN-ENCODING", []string{"UTF-8"}},
		{"M33 not UTF-8", with(t, "agent:1", "ag\xe9nt"), "E-MAN-ENCODING", []string{"line 17", "0xe9"}},
		{"M33 NUL", with(t, "agent:1", "a\x00"), "E-MAN-ENCODING", []string{"line 17"}},
		{"M36 object tag", with(t, "name: agent", "name: !!python/object agent"), "E-MAN-TAG", []string{"line 4"}},
		{"M36 binary tag", with(t, "name: agent", "name: !!binary YQ=="), "E-MAN-TAG", nil},
		{"M36 known tag", with(t, "name: agent", "name: !!str 5"), "E-MAN-TAG", nil},
		{"key that is no string", pod("nodeSelector:\n  on: x\n"), "E-MAN-TYPE", []string{"a key is a boolean"}},
		{"list for an object", with(t, "metadata:\n  name: agent\n  namespace: prod\n", "metadata: []\n"), "E-MAN-TYPE", []string{"a list, not an object"}},
		{"quantity", container("resources:\n  limits:\n    memory: 200Mb\n"), "E-MAN-RESOURCE", []string{"containers[0].resources.limits[memory]", "line 20", "200Mi"}},
		{"top level list", "- a\n", "E-MAN-TYPE", []string{"not an object"}},
	})
}

// TestCheckingRefuses has DaemonSets that upstream's validation refuses.
func TestCheckingRefuses(t *testing.T) {
	checkRefusals(t, []refusal{
		{"M14 no selector", with(t, "  selector:\n    matchLabels:\n      app: agent\n", ""), "E-MAN-SELECTOR", []string{"spec.selector", "a value is required"}},
		{"M14 empty selector", with(t, "  selector:\n    matchLabels:\n      app: agent\n", "  selector: {}\n"), "E-MAN-SELECTOR", []string{"empty selector is invalid for daemonset"}},
		{"M14 selects nothing", with(t, "      app: agent\n", "      app: other\n"), "E-MAN-SELECTOR", []string{"`selector` does not match template `labels`"}},
		{"M16 operator", with(t, "matchLabels:\n      app: agent", "matchExpressions:\n    - {key: app, operator: in, values: [agent]}"), "E-MAN-SELECTOR", []string{"not a valid selector operator", "spec.selector.matchExpressions[0].operator"}},
		{"M16 Exists with values", with(t, "matchLabels:\n      app: agent", "matchExpressions:\n    - {key: app, operator: Exists, values: [agent]}"), "E-MAN-SELECTOR", []string{"may not be specified"}},
		{"M16 In without", with(t, "matchLabels:\n      app: agent", "matchExpressions:\n    - {key: app, operator: In}"), "E-MAN-SELECTOR", []string{"must be specified"}},
		{"M17 both zero", budget("maxUnavailable: 0\nmaxSurge: 0\n"), "E-MAN-BUDGET", []string{"cannot be 0 when maxSurge is 0", "line 9"}},
		{"M18 both", budget("maxUnavailable: 1\nmaxSurge: 1\n"), "E-MAN-BUDGET", []string{"may not be set when maxUnavailable is non-zero", "maxUnavailable: 0"}},
		{"M19 negative", budget("maxUnavailable: -1\n"), "E-MAN-BUDGET", []string{"must be greater than or equal to 0"}},
		{"M19 101%", budget("maxUnavailable: 101%\n"), "E-MAN-BUDGET", []string{"must not be greater than 100%"}},
		{"M19 endless percent", budget("maxUnavailable: 99999999999999999999%\n"), "E-MAN-BUDGET", []string{"must not be greater than 100%"}},
		{"M19 text", budget("maxUnavailable: \"10\"\n"), "E-MAN-BUDGET", nil},
		{"M19 space", budget("maxUnavailable: 10 %\n"), "E-MAN-BUDGET", nil},
		{"M19 fraction", budget("maxUnavailable: 1.5\n"), "E-MAN-BUDGET", []string{"line 9"}},
		{"M19 exponent", budget("maxUnavailable: 1e3\n"), "E-MAN-BUDGET", nil},
		{"M19 only sign", budget("maxUnavailable: \"%\"\n"), "E-MAN-BUDGET", nil},
		{"M19 other digits", budget("maxUnavailable: ٣%\n"), "E-MAN-BUDGET", nil},
		{"M20 too many", budget("maxUnavailable: 9999999999\n"), "E-MAN-BUDGET", []string{"exceeds 2147483647"}},
		{"M21 surge with host port", strings.Replace(budget("maxUnavailable: 0\nmaxSurge: 1\n"), "image: agent:1\n", "image: agent:1\n        ports:\n        - {containerPort: 80, hostPort: 8080}\n", 1), "E-MAN-SURGE", []string{"host port 8080 cannot be shared", "ports[0].hostPort"}},
		{"M22 negative", spec("minReadySeconds: -1\n"), "E-MAN-NUMBER", []string{"spec.minReadySeconds"}},
		{"M22 range", spec("minReadySeconds: 2147483648\n"), "E-MAN-NUMBER", []string{"exceeds 2147483647"}},
		{"M22 unit", spec("minReadySeconds: \"10s\"\n"), "E-MAN-NUMBER", []string{"a whole number"}},
		{"M23 history", spec("revisionHistoryLimit: -1\n"), "E-MAN-NUMBER", nil},
		{"M24 strategy", spec("updateStrategy: rolling\n"), "E-MAN-STRATEGY", []string{"RollingUpdate or OnDelete", "line 7"}},
		{"M24 strategy type", spec("updateStrategy: {type: Rolling}\n"), "E-MAN-STRATEGY", []string{`"RollingUpdate", "OnDelete"`}},
		{"M26 no containers", with(t, "containers:\n      - name: main\n        image: agent:1\n", "containers: []\n"), "E-MAN-CONTAINER", []string{"spec.template.spec.containers"}},
		{"M26 same name", agent + "      - name: main\n        image: b\n", "E-MAN-CONTAINER", []string{"duplicate value", "containers[1].name"}},
		{"M26 no image", with(t, "        image: agent:1\n", ""), "E-MAN-CONTAINER", []string{"image"}},
		{"M26 space in image", with(t, "agent:1", "agent :1"), "E-MAN-CONTAINER", []string{"whitespace"}},
		{"M26 space after image", with(t, "agent:1", "'agent:1 '"), "E-MAN-CONTAINER", []string{"must not have leading or trailing whitespace"}},
		{"M27 Equal without key", pod("tolerations: [{operator: Equal, value: x}]\n"), "E-MAN-TOLERATION", []string{"operator must be Exists"}},
		{"M27 Exists with value", pod("tolerations: [{key: a, operator: Exists, value: x}]\n"), "E-MAN-TOLERATION", []string{"value must be empty"}},
		{"M27 effect", pod("tolerations: [{key: a, operator: Exists, effect: Evict}]\n"), "E-MAN-TOLERATION", []string{"NoSchedule", "tolerations[0].effect"}},
		{"M27 seconds", pod("tolerations: [{key: a, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}]\n"), "E-MAN-TOLERATION", []string{"effect must be 'NoExecute'"}},
		{"M28 number", pod("nodeSelector:\n  disk: 1\n"), "E-MAN-TYPE", []string{"nodeSelector[disk]", `quote it: "1"`}},
		{"M29 operator", pod(required("{key: a, operator: Has}")), "E-MAN-AFFINITY", []string{"not a valid selector operator"}},
		{"M29 Gt", pod(required("{key: a, operator: Gt, values: [abc]}")), "E-MAN-AFFINITY", []string{"integer"}},
		{"M31 restart", pod("restartPolicy: Never\n"), "E-MAN-RESTART", []string{`"Always"`, "must be Always"}},
	})
}

func required(expression string) string {
	return "affinity:\n  nodeAffinity:\n    requiredDuringSchedulingIgnoredDuringExecution:\n      nodeSelectorTerms:\n      - matchExpressions:\n        - " + expression + "\n"
}

// TestAccepted goes through rows M25, M30, M34, M35, M37, M39 and K06: what
// may look odd, is taken, and means the same as the plain form.
func TestAccepted(t *testing.T) {
	want := daemonpod.Digest(&mustRead(t, agent).Spec.Template)
	for row, data := range map[string]string{
		"M34 byte order mark": "\xef\xbb\xbf" + agent,
		"M34 CRLF":            strings.ReplaceAll(agent, "\n", "\r\n"),
		"M34 trailing spaces": strings.ReplaceAll(agent, "\n", "  \n"),
		"M37 merge key":       with(t, "      - name: main\n        image: agent:1\n", "      - <<: {image: agent:0, name: main}\n        image: agent:1\n"),
		"M37 anchor":          strings.Replace(with(t, "name: main", "name: *n"), "      app: agent\n", "      app: &n agent\n", 1),
		"M39 JSON": `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"agent","namespace":"prod"},"spec":{
			"selector":{"matchLabels":{"app":"agent"}},
			"template":{"metadata":{"labels":{"app":"agent"}},"spec":{"containers":[{"name":"main","image":"agent:1"}]}}}}`,
		"comments between documents": "# one\n---\n# two\n---\n" + agent + "---\n",
		"null fields":                pod("nodeSelector: null\naffinity: ~\n"),
		"default spelt out":          pod("restartPolicy: Always\n"),
	} {
		t.Run(row, func(t *testing.T) {
			ds := mustRead(t, data)
			if row == "M37 anchor" {
				if got := ds.Spec.Template.Spec.Containers[0].Name; got != "agent" {
					t.Errorf("the alias gave %q, want agent", got)
				}
				return
			}
			if got := daemonpod.Digest(&ds.Spec.Template); got != want {
				t.Errorf("another template than in plain form")
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for row, tc := range map[string]struct{ data, want string }{
		"M35 status":        {agent + "status: {numberReady: 3}\n", "f.yaml: line 18: status: status is ignored"},
		"M25 K06 OnDelete":  {spec("updateStrategy: {type: OnDelete, rollingUpdate: {maxUnavailable: 1}}\n"), "no effect with OnDelete"},
		"M30 B04 nodeName":  {pod("nodeName: n1\n"), "that node only"},
		"nothing to say":    {agent, ""},
		"OnDelete, plainly": {spec("updateStrategy: {type: OnDelete}\n"), ""},
	} {
		t.Run(row, func(t *testing.T) {
			docs, err := read(tc.data)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(docs[0].Warnings, "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("warnings %q, want %q", got, tc.want)
			}
			if ds := docs[0].Object.(*appsv1.DaemonSet); ds.Status.NumberReady != 0 {
				t.Error("the status of the manifest was taken")
			}
		})
	}
}

// TestNamespaces is row M32 and the default namespace.
func TestNamespaces(t *testing.T) {
	none := with(t, "  namespace: prod\n", "")
	for _, tc := range []struct{ data, flag, want, code string }{
		{agent, "", "prod", ""}, {agent, "prod", "prod", ""}, {agent, "dev", "", "E-MAN-NAMESPACE"},
		{none, "", "default", ""}, {none, "dev", "dev", ""},
	} {
		docs, err := manifest.Parse("f.yaml", []byte(tc.data))
		if err != nil {
			t.Fatal(err)
		}
		err = docs[0].InNamespace(tc.flag)
		if tc.code != "" {
			checkRefusal(t, err, tc.code, "prod", "dev")
			continue
		}
		if got := docs[0].Object.GetNamespace(); err != nil || got != tc.want {
			t.Errorf("flag %q: namespace %q, %v; want %q", tc.flag, got, err, tc.want)
		}
	}
}

// TestManyDocuments is row M38: a large file, with lines that are still right.
func TestManyDocuments(t *testing.T) {
	const n = 1000
	var b strings.Builder
	for i := range n {
		b.WriteString("---\n" + strings.Replace(agent, "name: agent", fmt.Sprintf("name: agent-%04d", i), 1))
	}
	docs, err := read(b.String())
	if err != nil || len(docs) != n || docs[999].Object.GetName() != "agent-0999" {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	_, err = read(strings.Replace(b.String(), "name: agent-0998", "name: Agent", 1))
	checkRefusal(t, err, "E-MAN-NAME", "document 999 of 1000", fmt.Sprintf("line %d", 998*18+5))
}

// TestExamples reads the manifests that people learn DaemonSets by.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read(string(data)); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestFirstErrorAndCount(t *testing.T) {
	data := strings.Replace(spec("minReadySeconds: -1\n"), "image: agent:1", "imagePullPolicy: Often", 1)
	_, err := read(data)
	checkRefusal(t, err, "E-MAN-CONTAINER", "(and 2 more)")
	_, err = read(with(t, "agent:1", "''"))
	if strings.Contains(err.Error(), "more)") {
		t.Errorf("one error counts others: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(agent))
	f.Add([]byte(bomb(3)))
	f.Add([]byte("a: &a {<<: *a}\n"))
	f.Add([]byte("{kind: Node, apiVersion: v1, metadata: {name: 1_0}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := read(string(data))
		var e *events.Error
		if err != nil && !errors.As(err, &e) || err == nil && len(docs) == 0 {
			t.Errorf("%d documents, %v", len(docs), err)
		}
	})
}
