package clients

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the project's directory, in which what the documents say is run.
var root = filepath.Join("..", "..")

// block is code of a document that is marked to be run.
var block = regexp.MustCompile("(?s)<!-- run(?:: (\\w+))? -->\n```\\w+\n(.*?)```")

// TestPublishing runs what docs/PUBLISHING.md says, in its order, and finds all of
// it in the log.
func TestPublishing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "PUBLISHING.md"))
	if err != nil {
		t.Fatal(err)
	}
	i := start(t)
	env := append(i.environment(t), "PATH="+tools(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	blocks := block.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 9 {
		t.Fatalf("only %d blocks are marked to be run", len(blocks))
	}
	for _, b := range blocks {
		var cmd *exec.Cmd
		switch b[1] {
		case "":
			cmd = exec.CommandContext(t.Context(), "sh", "-euc", b[2])
			cmd.Dir = root
		case "python":
			needs(t, "python3")
			cmd = exec.CommandContext(t.Context(), "python3", "-c", b[2])
			cmd.Dir = beside(t, "rollcall.py", "", "")
		case "go":
			at, err := filepath.Abs(root)
			if err != nil {
				t.Fatal(err)
			}
			cmd = exec.CommandContext(t.Context(), "go", "run", ".")
			cmd.Dir = program(t, "rollcall", at, b[2])
		case "node", "nats":
			needs(t, "node")
			cmd = exec.CommandContext(t.Context(), "node", "main.mjs")
			cmd.Dir = beside(t, "rollcall.mjs", "main.mjs", b[2])
			if b[1] == "nats" {
				npm(t, cmd.Dir, natsOfNode)
			}
		}
		cmd.Env = append(append(os.Environ(), env...), "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, b[2], out)
		}
	}
	i.tells(t, `node.created +node/edge-1 `, `node.created +node/edge-2 `, `hold.placed .*freeze`, `com.example.deploy.started about ds/shop/agent`, `node.created +node/edge-4 `, `node.created +node/edge-5 `, `node.created +node/edge-6 `)
	if rejects := i.rollcall(t, "rejects", "ls"); !strings.Contains(rejects, `"4 cores"`) {
		t.Errorf("four cores are no quantity, and the rejects are\n%s", rejects)
	}
}

// tells checks that the log has a line like each.
func (i *instance) tells(t *testing.T, lines ...string) {
	t.Helper()
	log := i.rollcall(t, "log")
	for _, l := range lines {
		if !regexp.MustCompile(l).MatchString(log) {
			t.Errorf("the log tells nothing like %q:\n%s", l, log)
		}
	}
}

// follow waits until the log has a line like that.
func (i *instance) follow(t *testing.T, line string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), *binary, "log", "-f", "--data", i.data)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}()
	is := regexp.MustCompile(line)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if is.MatchString(lines.Text()) {
			return
		}
	}
	t.Fatalf("the log ended without a line like %q", line)
}

// environment is that of who speaks to the instance.
func (i *instance) environment(t *testing.T) []string {
	t.Helper()
	env := []string{"ROLLCALL_DATA=" + i.data}
	for _, l := range strings.Split(strings.TrimSpace(i.rollcall(t, "source", "env")), "\n") {
		name, value, ok := strings.Cut(strings.TrimPrefix(l, "export "), "=")
		if !ok {
			t.Fatalf("rollcall source env prints %q", l)
		}
		env = append(env, name+"="+strings.Trim(value, "'"))
	}
	return env
}

// tools is a directory with rollcall and nats.
func tools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(*binary, filepath.Join(dir, "rollcall")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "nats"), "github.com/nats-io/natscli/nats").CombinedOutput(); err != nil {
		t.Fatalf("build nats: %v\n%s", err, out)
	}
	return dir
}

// beside makes a directory with a copy of a client, and a program of that name.
func beside(t *testing.T, client, name, program string) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(root, "docs", "clients", client))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, client), b, 0o600)
	}
	if err == nil && name != "" {
		err = os.WriteFile(filepath.Join(dir, name), []byte(program), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// post sends a body to the gate as the admin, and returns what is answered.
func (i *instance) post(t *testing.T, media, body string) (status int, answer string) {
	t.Helper()
	return i.ask(t, http.MethodPost, "/v1/events", media, body)
}

// get reads what is at a path, which has to be there.
func (i *instance) get(t *testing.T, path string) string {
	t.Helper()
	status, body := i.ask(t, http.MethodGet, path, "", "")
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	return body
}

func (i *instance) ask(t *testing.T, method, path, media, body string) (status int, answer string) {
	t.Helper()
	of := map[string]string{}
	for _, v := range i.environment(t) {
		name, value, _ := strings.Cut(v, "=")
		of[name] = value
	}
	ca, err := os.ReadFile(of["ROLLCALL_CA"])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	r, err := http.NewRequestWithContext(t.Context(), method, of["ROLLCALL_URL"]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("Authorization", "Bearer "+of["ROLLCALL_TOKEN"])
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}
