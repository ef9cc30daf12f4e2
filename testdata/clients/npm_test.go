package clients

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Packages of npm that these tests use, and nothing else does.
const (
	natsOfNode  = "nats@2.29.3"
	asyncSpecs  = "@asyncapi/specs@6.11.1"
	asyncSchema = "node_modules/@asyncapi/specs/schemas/3.0.0.json"
)

// needs ends a test if a language is not there. Where the project is tested as a
// whole, each has to be.
func needs(t *testing.T, command string) {
	t.Helper()
	switch _, err := exec.LookPath(command); {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not installed, and all clients are to be run", command)
	default:
		t.Skipf("%s is not installed here: what it runs was not tried", command)
	}
}

// npm installs a package in a directory. A registry that does not answer once is asked
// again.
func npm(t *testing.T, dir, name string) {
	t.Helper()
	needs(t, "npm")
	for try := 1; ; try++ {
		cmd := exec.CommandContext(t.Context(), "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries", "5", "--prefix", dir, name)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if try == 3 {
			t.Fatalf("npm install %s: %v\n%s", name, err, out)
		}
	}
}

// TestAsyncAPI holds the AsyncAPI document that an instance serves against AsyncAPI's
// own schema of such documents.
func TestAsyncAPI(t *testing.T) {
	i := start(t)
	dir := t.TempDir()
	npm(t, dir, asyncSpecs)
	text, err := os.ReadFile(filepath.Join(dir, asyncSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.LoadURL = nil // all of it is in the one file
	if err := c.AddResource("async.json", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("async.json")
	if err != nil {
		t.Fatal(err)
	}
	document := i.get(t, "/v1/asyncapi.json")
	var doc any
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%#v", err)
	}
	var bad any
	if err := json.Unmarshal([]byte(strings.Replace(document, `"action": "receive"`, `"action": "hear"`, 1)), &bad); err != nil {
		t.Fatal(err)
	}
	if s.Validate(bad) == nil {
		t.Error("the schema takes anything")
	}
}
