package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layer says what a package of the module is and what it may import of the
// module. Imports go down only.
type layer struct {
	pure  bool     // but for the files in shell
	shell []string // files that may use clock, goroutines and I/O
	may   []string // packages of the module that it may import, besides its tests
	why   string
}

const module = "rollcall"

var layers = map[string]layer{
	"events/wire":                   {pure: true, why: "bytes in, objects out: at the bottom, so that every reader walks the same wire"},
	"events":                        {pure: true, may: []string{"events/wire"}, why: "the vocabulary; knows no log, no state and no clock"},
	"events/daemonpod":              {pure: true, may: []string{"events"}, why: "what a daemon pod is made of: who decides and who does must agree"},
	"events/memlog":                 {pure: true, shell: []string{"kv.go", "tail.go"}, may: []string{"events"}, why: "the log and the buckets that tests and simulations run on; only waiting for more needs a channel"},
	"events/files":                  {why: "small files replaced whole; knows no event"},
	"events/drive":                  {may: []string{"events"}, why: "the engine of all who act upon a log; knows no kind of object"},
	"events/drive/drivetest":        {pure: true, may: []string{"events", "events/drive"}, why: "steps at a time that a test chooses"},
	"events/logtest":                {may: []string{"events", "events/waittest"}, why: "what every log has to pass"},
	"events/waittest":               {why: "how long tests wait; knows nothing"},
	"events/ahead":                  {why: "parts loaded on all cores ahead of who takes them; knows no event"},
	"events/blocks":                 {may: []string{"events", "events/ahead", "events/files", "events/keyframes"}, why: "the one package that knows how nats-server writes a stream; it starts no server"},
	"events/blocks/blockstest":      {may: []string{"events", "events/waittest"}, why: "writes with nats-server what events/blocks reads; for tests"},
	"events/chain":                  {pure: true, may: []string{"events"}, why: "the running hash over a log: all who keep a position have the same"},
	"events/keyframes":              {pure: true, may: []string{"events", "events/chain"}, why: "states of a log that are kept, as bytes, and when one is good; the object store is an interface"},
	"events/recording":              {may: []string{"events", "events/ahead", "events/chain", "events/files"}, why: "a log in one file; knows no server, and no state but as bytes"},
	"events/seal":                   {pure: true, may: []string{"events", "events/wire"}, why: "how values of Secrets stand in a log; the keys are given"},
	"events/redact":                 {pure: true, may: []string{"events", "events/seal", "events/wire"}, why: "what of a log not every reader is to see; the key is given"},
	"controller/scenes":             {may: []string{"controller/play", "events", "events/recording", "projector", "projector/story", "publisher/simkubelet"}, why: "the rollouts that are recorded: real parties in played time"},
	"events/natsd":                  {may: []string{"events", "events/files", "events/keyframes"}, why: "the one package that knows nats-server"},
	"events/stream":                 {may: []string{"events", "events/keyframes"}, why: "the one package that knows JetStream as a log"},
	"projector/table":               {pure: true, shell: []string{"table.go"}, may: []string{"events", "events/wire"}, why: "the one copy of the objects in a process; only the lock and the waiting are a shell"},
	"projector/dns":                 {pure: true, shell: []string{"server.go"}, may: []string{"events", "events/wire", "projector/apiserver/netlimit", "projector/table"}, why: "what the names of a cluster mean, from its objects; only the sockets are a shell"},
	"projector/owners":              {pure: true, may: []string{"events", "events/wire"}, why: "who owns what; asks about pods and nodes through an interface of its own"},
	"projector":                     {pure: true, shell: []string{"projector.go"}, may: []string{"events", "events/chain", "events/drive", "events/keyframes", "events/wire", "projector/sets", "projector/table"}, why: "the fold; it never sees who publishes"},
	"projector/sets":                {pure: true, may: []string{"events", "events/daemonpod", "events/wire", "projector/owners", "projector/table"}, why: "cells, counters and sets of work; the bytes and the owners are elsewhere"},
	"projector/story":               {pure: true, may: []string{"events", "events/daemonpod", "events/seal", "events/wire"}, why: "the log told to people; needs no state of the cells"},
	"projector/apiserver/hooktest":  {why: "servers of others in tests; knows nothing of rollcall"},
	"projector/apiserver/netlimit":  {why: "places for connections; knows neither Kubernetes nor the log"},
	"projector/apiserver/informer":  {may: []string{"events", "projector/table"}, why: "tables as client-go's informers: for whatever Kubernetes wrote for those"},
	"projector/apiserver/access":    {why: "who asks the API and what they may do, by Kubernetes' own authenticators and authorizers; sees no log and no table"},
	"projector/apiserver":           {may: []string{"events", "events/daemonpod", "events/drive", "events/seal", "events/wire", "projector/apiserver/access", "projector/apiserver/aggregation", "projector/apiserver/extensions", "projector/apiserver/informer", "projector/apiserver/netlimit", "projector/apiserver/streams", "projector/story", "projector/table"}, why: "the Kubernetes API over the log: the one package that knows Kubernetes' own server"},
	"controller":                    {pure: true, may: []string{"events", "events/daemonpod", "events/drive", "projector", "projector/owners", "projector/sets"}, why: "decides from a state; never sees who carries out"},
	"controller/replay":             {pure: true, may: []string{"controller", "controller/condition", "controller/invariant", "events", "events/ahead", "events/chain", "events/daemonpod", "events/keyframes", "events/seal", "events/wire", "projector", "projector/sets", "projector/story", "projector/table"}, why: "asks a log: how things were, what they come from, and whether they would be decided so again"},
	"controller/player":             {pure: true, may: []string{"controller/replay", "events", "projector/sets"}, why: "what keys do and what is shown of a replay; keys and time come in, lines go out"},
	"controller/grid":               {pure: true, may: []string{"events", "projector", "projector/sets"}, why: "how a DaemonSet stands on each node, in four bytes a node, for who draws it"},
	"controller/board":              {pure: true, may: []string{"controller/grid", "controller/player", "controller/replay", "events", "events/daemonpod", "projector", "projector/sets", "projector/story"}, why: "how DaemonSets stand, as lines for a terminal; a state and keys come in, lines go out"},
	"controller/chart":              {pure: true, may: []string{"controller/grid", "controller/replay", "events", "projector", "projector/story"}, why: "a rollout as a picture for a report; a history comes in, text goes out"},
	"cmd/rollcall/page":             {may: []string{"controller/board", "controller/grid", "controller/play", "controller/replay", "events", "events/daemonpod", "events/seal", "events/wire", "projector", "projector/sets", "projector/story"}, why: "a page over a log: asks a history as the commands do, and sees neither instance nor API"},
	"controller/condition":          {pure: true, may: []string{"events", "events/seal", "events/wire", "projector", "projector/story"}, why: "expressions of people about a log; the one package that knows CEL"},
	"controller/play":               {pure: true, may: []string{"controller", "controller/replay", "events", "events/daemonpod", "events/drive", "events/memlog", "events/wire", "projector", "projector/sets", "projector/table", "publisher/executor", "publisher/simkubelet"}, why: "the real parties in played time, for recordings and for what would have been"},
	"controller/invariant":          {pure: true, may: []string{"events", "projector", "projector/sets"}, why: "what must be so at every position of a log; asks no decision"},
	"projector/apiserver/streams":   {may: []string{"events", "events/wire", "projector/dns", "projector/table", "publisher/simkubelet/script", "publisher/simkubelet/shell"}, why: "talking with containers, simulated or real; sees no registry"},
	"projector/apiserver/workloads": {why: "Kubernetes' own controllers as clients of the API; sees no log and no state"},
	"controller/simtest":            {may: []string{"controller", "controller/replay", "events", "events/daemonpod", "events/drive", "events/memlog", "projector", "projector/story", "publisher/executor"}, why: "the real controller and executor in played time, and an oracle that asks neither"},
	"controller/scenario":           {why: "conversations with the core"},
	"publisher":                     {why: "what can be told, and a client to tell it: imports nothing of Kubernetes, so that others can link it"},
	"publisher/envelope":            {pure: true, may: []string{"events/wire", "publisher"}, why: "bytes from outside in, events or what is wrong with them out; knows no type of event"},
	"publisher/schema":              {pure: true, shell: []string{"handler.go"}, may: []string{"events", "publisher"}, why: "what can be told: the one package that knows JSON Schema"},
	"publisher/executor":            {pure: false, may: []string{"events", "events/daemonpod", "events/drive", "events/wire", "projector/table"}, why: "carries commands out; never sees the state of the controller"},
	"publisher/simkubelet":          {pure: true, shell: []string{"run.go"}, may: []string{"events", "events/daemonpod", "events/drive", "events/wire", "publisher/simkubelet/script"}, why: "a world driven by the log alone"},
	"publisher/simkubelet/script":   {pure: true, why: "a container's command played in virtual time, and as whom it runs"},
	"publisher/simkubelet/shell":    {may: []string{"publisher/simkubelet/script"}, why: "what answers kubectl exec: commands on files in memory; it imports nothing that reaches the machine, which a test of its own holds it to"},
	"docs":                          {pure: true, why: "texts that the command prints, in one place"},
	"publisher/gate":                {may: []string{"events", "events/daemonpod", "events/drive", "events/wire", "projector/story", "projector/table", "publisher", "publisher/envelope", "publisher/schema", "publisher/sources"}, why: "the doors of programs outside; sees what is so, and never why something is decided"},
	"publisher/kube":                {pure: true, shell: []string{"attribute.go", "calls.go", "cluster.go", "desk.go", "guard.go", "lease.go", "notices.go", "probe.go", "record.go", "release.go", "rights.go", "tell.go", "untold.go", "watch.go", "world.go"}, may: []string{"events", "events/daemonpod", "events/drive", "events/wire", "projector/table", "publisher/executor"}, why: "a real cluster's API read into a log, and commands carried out there: the one package that watches one for facts"},
	"publisher/reading":             {may: []string{"events", "events/seal", "events/wire", "publisher", "publisher/sources"}, why: "the log for readers outside; sees no state"},
	"publisher/sources":             {pure: true, shell: []string{"file.go"}, may: []string{"events", "events/files"}, why: "who may tell what; the gate and the NATS server ask it"},
	"testdata/manifests":            {pure: true, why: "the manifests of tests and of first examples: one copy, in the program"},
	"cmd/rollcall/manifest":         {may: []string{"events", "events/files", "projector/apiserver", "projector/apiserver/extensions", "testdata/manifests"}, why: "manifests of users read, and applied as a client of the API"},
	"cmd/rollcall/datadir":          {may: []string{"events", "events/blocks", "events/chain", "events/files", "events/keyframes", "events/stream"}, why: "what a directory has beside its log, and how the log is held against it"},
	"cmd/rollcall/instance": {may: []string{"events", "events/ahead", "cmd/rollcall/datadir", "controller", "events/blocks", "events/chain", "events/drive", "events/files", "events/keyframes", "events/memlog", "events/natsd", "events/recording", "events/seal", "events/stream", "events/wire", "projector", "projector/apiserver",
		"projector/apiserver/netlimit", "projector/apiserver/workloads", "projector/dns", "projector/sets", "projector/table", "publisher/executor", "publisher/gate", "publisher/reading", "publisher/schema", "publisher/simkubelet", "publisher/sources"}, why: "wiring: all parts of a cluster in a process, for the command, for tests and for others"},
	"projector/apiserver/aggregation": {may: []string{"events", "events/wire", "projector/table"}, why: "APIs of others by Kubernetes' own aggregator, before the server of the API; sees APIServices alone"},
	"projector/apiserver/extensions":  {may: []string{"events", "events/wire", "projector/table"}, why: "custom resources by Kubernetes' own server, behind the one of the API; sees definitions, and objects by a storage that it is given"},
	"cmd/rollcall":                    {may: nil, why: "wiring: may import everything"},
}

// owners are the only importers of a module outside.
var owners = map[string][]string{
	"github.com/nats-io/nats-server/":      {"events/natsd", "events/blocks/blockstest", "cmd/rollcall"}, // the command prints its version
	"github.com/minio/highwayhash":         {"events/blocks", "events/chain"},
	"github.com/nats-io/nats.go/jetstream": {"events/stream"},
	"github.com/nats-io/nats.go/micro":     {"publisher/gate"},
	"github.com/vmihailenco/msgpack":       {"events/wire"},
	"golang.org/x/crypto/":                 {"events/seal"},
	"github.com/cloudevents/sdk-go/":       {"publisher/envelope"},
	"github.com/invopop/jsonschema":        {"publisher/schema"},
	"github.com/santhosh-tekuri/":          {"publisher/schema"},
	"github.com/google/cel-go/":            {"controller/condition"},
	"github.com/spf13/cobra":               {"cmd/rollcall"},
	"github.com/miekg/dns":                 {"projector/dns", "projector/apiserver/streams", "publisher/simkubelet/shell"}, // questions and records
	"mvdan.cc/sh/":                         {"publisher/simkubelet/script", "publisher/simkubelet/shell"},
	"github.com/distribution/reference":    {"publisher/simkubelet"},
	"k8s.io/kubernetes/":                   {"projector/apiserver", "projector/apiserver/aggregation", "projector/apiserver/access", "projector/apiserver/streams", "projector/apiserver/workloads"},
	"k8s.io/apiserver/":                    {"projector/apiserver", "projector/apiserver/aggregation", "projector/apiserver/extensions", "projector/apiserver/access", "projector/apiserver/streams", "projector/apiserver/workloads"},
	"k8s.io/client-go/":                    {"publisher/kube", "projector/apiserver", "projector/apiserver/aggregation", "projector/apiserver/extensions", "projector/apiserver/access", "projector/apiserver/streams", "projector/apiserver/informer", "projector/apiserver/workloads", "cmd/rollcall", "cmd/rollcall/manifest", "cmd/rollcall/instance"}, // the command writes kubeconfigs
	"k8s.io/kubectl/":                      {"cmd/rollcall"},
}

// forbidden are imports that no pure file has, with what to do instead.
var forbidden = map[string]string{
	"os":                     "take bytes as an argument",
	"net":                    "leave I/O to a shell",
	"net/http":               "leave I/O to a shell",
	"log":                    "return data; shells log",
	"log/slog":               "return data; shells log",
	"math/rand":              "derive it from the input, or take it as an argument",
	"math/rand/v2":           "derive it from the input, or take it as an argument",
	"crypto/rand":            "take ids as an argument",
	"github.com/google/uuid": "derive ids with daemonpod.UID, so that replay gives the same",
}

// clockCalls are the functions of time that a pure file does not call.
var clockCalls = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

type listed struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
	Standard                bool
}

// list asks the go command about the module's packages and what they import.
func list(t *testing.T) (own []listed, exports map[string]string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports,Standard", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports = map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/") {
			own = append(own, p)
		}
	}
	return own, exports
}

func name(p listed) string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// TestLayers holds every package of the module to its row, and fails on one
// that has none: a new package gets its place on purpose. It fails as well on a
// row, a permission or a shell that nobody needs any more.
func TestLayers(t *testing.T) {
	own, _ := list(t)
	imported := map[string]bool{} // "importer imported"
	stale := maps.Clone(layers)
	for _, p := range own {
		l, ok := layers[name(p)]
		if !ok {
			t.Errorf("package %s has no layer: add it to the table in deps_test.go, with the reason", name(p))
			continue
		}
		delete(stale, name(p))
		for _, f := range l.shell {
			if !slices.Contains(p.GoFiles, f) {
				t.Errorf("%s has no file %s, which may be its shell", name(p), f)
			}
		}
		for _, imp := range p.Imports {
			rel, inside := strings.CutPrefix(imp, module+"/")
			imported[name(p)+" "+rel] = true
			if inside && name(p) != "cmd/rollcall" && !slices.Contains(l.may, rel) {
				t.Errorf("%s imports %s, but: %s", name(p), rel, l.why)
			}
			for prefix, who := range owners {
				if !strings.HasPrefix(imp, prefix) && imp != strings.TrimSuffix(prefix, "/") {
					continue
				}
				imported[name(p)+" "+prefix] = true
				if !slices.Contains(who, name(p)) {
					t.Errorf("%s imports %s, which is for %v only", name(p), imp, who)
				}
			}
		}
	}
	for pkg := range stale {
		t.Errorf("there is no package %s: take its row out of deps_test.go", pkg)
	}
	for pkg, l := range layers {
		for _, may := range l.may {
			if !imported[pkg+" "+may] {
				t.Errorf("%s may import %s and does not: take the permission away", pkg, may)
			}
		}
	}
	for prefix, who := range owners {
		for _, pkg := range who {
			if !imported[pkg+" "+prefix] {
				t.Errorf("%s may import %s and does not: take the permission away", pkg, prefix)
			}
		}
	}
}

// TestPurity reads every file of the pure packages: no clock, goroutine,
// channel, I/O or global randomness, and no range over a map, whose order
// could reach an output.
func TestPurity(t *testing.T) {
	own, exports := list(t)
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	for _, p := range own {
		l := layers[name(p)]
		if !l.pure {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
		conf := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
		if _, err := conf.Check(p.ImportPath, fset, files, info); err != nil {
			t.Fatalf("check %s: %v", p.ImportPath, err)
		}
		for i, file := range files {
			if slices.Contains(l.shell, p.GoFiles[i]) {
				continue
			}
			for _, why := range impure(file, info) {
				t.Errorf("%s/%s:%d: %s", name(p), p.GoFiles[i], fset.Position(why.pos).Line, why.text)
			}
		}
	}
}

type finding struct {
	pos  token.Pos
	text string
}

// impure lists what a pure file must not hold.
func impure(file *ast.File, info *types.Info) (found []finding) {
	add := func(n ast.Node, format string, args ...any) {
		found = append(found, finding{n.Pos(), fmt.Sprintf(format, args...)})
	}
	for _, imp := range file.Imports {
		if do, bad := forbidden[strings.Trim(imp.Path.Value, `"`)]; bad {
			add(imp, "imports %s: %s", imp.Path.Value, do)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.GoStmt:
			add(x, "starts a goroutine: leave it to a shell")
		case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
			add(x, "uses a channel: return data instead")
		case *ast.RangeStmt:
			if _, isMap := info.TypeOf(x.X).Underlying().(*types.Map); isMap {
				add(x, "ranges over a map: sort its keys first, because the order must not reach an output")
			}
		case *ast.SelectorExpr:
			if o := info.Uses[x.Sel]; o != nil && o.Pkg() != nil && o.Pkg().Path() == "time" &&
				o.Parent() == o.Pkg().Scope() && slices.Contains(clockCalls, x.Sel.Name) {
				add(x, "calls time.%s: take the time as an argument", x.Sel.Name)
			}
		}
		return true
	})
	return found
}

// TestPuritySeesImpurity plants each kind of impurity and expects it to be found.
func TestPuritySeesImpurity(t *testing.T) {
	for src, want := range map[string]string{
		`package p; import "os"; var _ = os.Args`:                           "imports \"os\"",
		`package p; import "time"; var _ = time.Now()`:                      "time.Now",
		`package p; func f() { go f() }`:                                    "goroutine",
		`package p; func f(m map[int]int) { for range m { } }`:              "ranges over a map",
		`package p; var c chan int`:                                         "channel",
		`package p; import "math/rand/v2"; var _ = rand.Int()`:              "math/rand",
		`package p; type m map[string]int; func f(x m) { for range x { } }`: "ranges over a map",
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "p.go", src, 0)
		if err != nil {
			t.Fatal(err)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
		conf := types.Config{Importer: importer.Default(), Error: func(error) {}}
		_, _ = conf.Check("p", fset, []*ast.File{file}, info) // imports may be missing: names are enough
		var texts []string
		for _, f := range impure(file, info) {
			texts = append(texts, f.text)
		}
		if !strings.Contains(strings.Join(texts, "\n"), want) {
			t.Errorf("%s: found %q, want %q", src, texts, want)
		}
	}
}

// limits on size; a file that was over it when the test came keeps its size.
const (
	maxFileLines = 400
	maxFuncLines = 60
)

// TestSizes keeps files and functions readable.
func TestSizes(t *testing.T) {
	own, _ := list(t)
	for _, p := range own {
		for _, f := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if n := fset.File(file.Pos()).LineCount(); n > maxFileLines {
				t.Errorf("%s/%s has %d lines: is there a second thing in it?", name(p), f, n)
			}
			for _, d := range file.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFuncLines {
					t.Errorf("%s/%s: %s has %d lines", name(p), f, fn.Name.Name, n)
				}
			}
		}
	}
}
