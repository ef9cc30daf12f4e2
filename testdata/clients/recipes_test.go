package clients

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the tools of the recipes send. Each request has the form that its tool's
// documentation gives: Alertmanager's webhook of version 4, fluent-bit's http
// output with format json and no date, Vector's http sink with lines of JSON.
const (
	alert = `{"version":"4","groupKey":"{}:{alertname=\"AgentsDown\"}","truncatedAlerts":0,"status":"STATUS","receiver":"rollcall",
		"groupLabels":{"alertname":"AgentsDown"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://127.0.0.1:9093",
		"alerts":[{"status":"STATUS","labels":{"alertname":"AgentsDown","namespace":"kube-system","daemonset":"fluentd"},
		"annotations":{"summary":"half of the agents are down"},"startsAt":"2026-11-26T10:00:00Z","endsAt":"0001-01-01T00:00:00Z",
		"generatorURL":"http://127.0.0.1:9090/graph","fingerprint":"c84dd1c5f0a1e2b3"}]}`
	fluentBit = `[{"type":"com.example.deploy.started","subject":"ds/kube-system/fluentd","id":"41"},{"type":"com.example.deploy.ended","subject":"ds/kube-system/fluentd","id":"42"}]`
	vector    = `{"type":"com.example.deploy.checked","subject":"ds/kube-system/fluentd","id":"43","source":"vector/build-1","data":{"step":"checked"}}` + "\n" +
		`{"type":"com.example.deploy.signed","subject":"ds/kube-system/fluentd","id":"44","source":"vector/build-1","data":{"step":"signed"}}` + "\n"
)

// TestCollectors sends what fluent-bit and Vector send.
func TestCollectors(t *testing.T) {
	i := start(t)
	for _, sent := range []struct{ media, body string }{{"application/json", fluentBit}, {"application/x-ndjson", vector}, {"application/x-ndjson", strings.TrimSpace(vector)}} {
		media, body := sent.media, sent.body
		if status, answer := i.post(t, media, body); status != http.StatusOK || strings.Count(answer, `"accepted":true`) != 2 {
			t.Errorf("%s: %d %s", media, status, answer)
		}
	}
	i.tells(t, `com.example.deploy.started about`, `com.example.deploy.ended about`, `com.example.deploy.checked about`, `com.example.deploy.signed about`)
}

// TestAlertmanager makes a hold of an alert, and ends it with the alert.
func TestAlertmanager(t *testing.T) {
	needs(t, "python3")
	i := start(t)
	cmd := exec.CommandContext(t.Context(), "python3", filepath.Join(root, "docs", "recipes", "alertmanager.py"))
	cmd.Env, cmd.Stderr = append(append(os.Environ(), i.environment(t)...), "PORT=0"), os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`http://\S+`).FindString(line)
	about := strings.NewReplacer(`"namespace":"kube-system",`, "", `"daemonset":"fluentd"`, `"team":"logs"`, "c84dd1c5f0a1e2b3", "0000000000000001").Replace(alert)
	for _, text := range []string{
		strings.ReplaceAll(alert, "STATUS", "firing"), strings.ReplaceAll(alert, "STATUS", "firing"), strings.ReplaceAll(alert, "STATUS", "resolved"),
		strings.ReplaceAll(about, "STATUS", "firing"), strings.ReplaceAll(about, "STATUS", "resolved"), // holds nothing
	} {
		resp, err := http.Post(url, "application/json", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", text, resp.Status)
		}
	}
	i.tells(t, `hold.placed .*ds/kube-system/fluentd .*half of the agents are down`, `hold.lifted .*c84dd1c5f0a1e2b3`)
}

// TestInventory keeps nodes true to a list of hosts, and a DaemonSet follows.
func TestInventory(t *testing.T) {
	needs(t, "python3")
	i := start(t)
	i.rollcall(t, "kubectl", "apply", "-f", filepath.Join(root, "testdata", "manifests", "fluentd.yaml"))
	hosts := filepath.Join(t.TempDir(), "hosts.json")
	list, err := os.ReadFile(filepath.Join(root, "docs", "examples", "inventory", "hosts.json"))
	if err != nil {
		t.Fatal(err)
	}
	sync := func(list string) string {
		t.Helper()
		if err := os.WriteFile(hosts, []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "python3", filepath.Join(root, "docs", "examples", "inventory", "inventory.py"), hosts, "--once")
		cmd.Env, cmd.Stderr = append(append(os.Environ(), i.environment(t)...), "PYTHONDONTWRITEBYTECODE=1"), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if out := sync(string(list)); strings.Count(out, "told edge-") != 3 {
		t.Errorf("three hosts are told as\n%s", out)
	}
	if out := sync(string(list)); out != "" {
		t.Errorf("the same list again tells\n%s", out)
	}
	i.follow(t, `pod.created .* for edge-1,`)
	i.follow(t, `pod.created .* for edge-2,`)
	if out := sync("[]"); strings.Count(out, "gone edge-") != 3 {
		t.Errorf("an empty list tells\n%s", out)
	}
	i.tells(t, `node.deleted +node/edge-3`)
}

// TestCron runs the line of the crontab, with its files elsewhere.
func TestCron(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "PUBLISHING.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("\\| cron \\| `\\S+ \\S+ \\S+ \\S+ \\S+ (.*)` \\|").FindSubmatch(text)
	if line == nil {
		t.Fatal("docs/PUBLISHING.md has no line for cron")
	}
	i := start(t)
	at, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(env, []byte(strings.Join(i.environment(t), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.NewReplacer("/etc/rollcall/env", env, "/opt/rollcall", at).Replace(string(line[1])))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // what cron gives, about
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	i.tells(t, `com.example.backup.done about node/`)
}

// TestService: the unit of the recipe starts a program that is there.
func TestService(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(root, "docs", "recipes", "rollcall-inventory.service"))
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile(`ExecStart=/usr/bin/python3 /opt/rollcall/(\S+) `).FindSubmatch(unit)
	if program == nil {
		t.Fatal("the unit starts no program of the project")
	}
	if _, err := os.Stat(filepath.Join(root, string(program[1]))); err != nil {
		t.Error(err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not installed here: the unit was not verified")
		return
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", filepath.Join(root, "docs", "recipes", "rollcall-inventory.service")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
