package parity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answer is one command and what it printed, normalised: what went to stderr
// stands behind "! ", and a status other than 0 is the last line.
type answer struct{ command, text string }

type answers []answer

func (a answers) String() string {
	var b strings.Builder
	for _, x := range a {
		fmt.Fprintf(&b, "$ %s\n%s\n", x.command, x.text)
	}
	return b.String()
}

// parse reads what String wrote.
func parse(text string) answers {
	var a answers
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			a = append(a, answer{command: strings.TrimSpace(command)})
		} else if len(a) > 0 {
			a[len(a)-1].text += line
		}
	}
	for i := range a {
		a[i].text = strings.TrimSuffix(a[i].text, "\n")
	}
	return a
}

// shell runs the commands of a transcript.
type shell struct {
	dir         string
	environment []string
	rules       []rule // beyond those of every transcript
}

// newShell has a home of its own and finds kubectl, and programs before it.
func newShell(t *testing.T, dir, kubeconfig, kubectl string, programs ...string) shell {
	t.Helper()
	path := append(programs, filepath.Dir(kubectl), os.Getenv("PATH"))
	return shell{dir: dir, environment: append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir(), "TZ=UTC", "LC_ALL=C",
		"PATH="+strings.Join(path, string(os.PathListSeparator)))}
}

// transcript runs commands, one a line. A command that was there before is
// told apart by a number, "kubectl get ns #2".
func (s shell) transcript(t *testing.T, commands string) answers {
	t.Helper()
	var a answers
	times := map[string]int{}
	for line := range strings.Lines(commands) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name := line
		if times[line]++; times[line] > 1 {
			name = fmt.Sprintf("%s #%d", line, times[line])
		}
		text, err := s.ask(t.Context(), line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		a = append(a, answer{name, text})
	}
	return a
}

func (s shell) ask(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.environment, &out, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%w; printed until then:\n%s%s", ctx.Err(), &out, &complaints)
	}
	text := normalise(out.String())
	for line := range strings.Lines(normalise(complaints.String())) {
		text += "! " + line
	}
	for _, r := range s.rules {
		text = r.pattern.ReplaceAllString(text, r.instead)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return text + fmt.Sprintf("exit %d\n", exit.ExitCode()), nil
	}
	return text, err
}

// rule replaces what a pattern finds.
type rule struct {
	pattern *regexp.Regexp
	instead string
}

// rules take out what differs between two runs of one server. The instant
// that the objects of this folder name stays: a server must give it back.
var rules = []rule{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`(resourceVersion\\?"?: ?\\?")\d+`), "${1}RV"},
	{regexp.MustCompile(`(Resource Version: +)\d+`), `${1}RV`},
	{regexp.MustCompile(`20(2[1-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4})`), "TIME"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20(2[1-9]|[3-9]\d) \d\d:\d\d:\d\d [+-]\d{4}`), "TIME"},
	{regexp.MustCompile(`(?m)^([IWE])\d{4} [\d:.]+ +\d+ `), "$1 "},
	{regexp.MustCompile(`kube-api-access-[a-z0-9]{5}\b`), "kube-api-access-NAME"},
	{regexp.MustCompile(`https://(127\.0\.0\.1|localhost):\d+`), "SERVER"},
	{regexp.MustCompile(`/\S*/(LIVE|MERGED)-\d+/`), "$1/"},
	{regexp.MustCompile(`(?m)(\S)[ \t]{2,}`), "$1 "},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
}

// age is how long something is so, in a table. After "=" and "for " it is a
// setting and stays, and so does 100m of a processor.
var age = regexp.MustCompile(`(?m)(for |=|^|[\s(])(\d{1,3}s|\d{1,2}m(\d{1,2}s)?|\d{1,2}h(\d{1,2}m)?|\d+d(\d+h)?|\d+y(\d+d)?)\b`)

func normalise(text string) string {
	for _, r := range rules {
		text = r.pattern.ReplaceAllString(text, r.instead)
	}
	text = age.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == 'f' || found[0] == '=' {
			return found
		}
		return strings.TrimRight(found, "0123456789smhdy") + "AGE"
	})
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

func TestNormalise(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"table", "NAME   STATUS     AGE\nn1     Ready      3m20s  \n", "NAME STATUS AGE\nn1 Ready AGE\n"},
		{"indentation", "a:\n    b:  c\n", "a:\n    b: c\n"},
		{"identity", `uid: 7f2e57ab-0000-4000-8000-000000000001, "resourceVersion": "12"`, "uid: UID, \"resourceVersion\": \"RV\"\n"},
		{"clock", `at: "2025-11-24T09:55:30Z"`, "at: \"TIME\"\n"},
		{"given instant", `at: "2020-01-02T03:04:05Z"`, "at: \"2020-01-02T03:04:05Z\"\n"},
		{"settings", "cpu: 100m delay=5s op=Exists for 300s", "cpu: 100m delay=5s op=Exists for 300s\n"},
		{"ages side by side", "5s 2m3s (x3 over 6y328d) 4d", "AGE AGE (x3 over AGE) AGE\n"},
		{"nothing", "", ""},
	} {
		if got := normalise(test.text); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
