package script

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// finding U4: what a container is told to do is what it does, and when it ends
// is when that is done.
func TestPlay(t *testing.T) {
	for _, c := range []struct {
		args  string // by ~
		after time.Duration
		code  int32
		lines string
	}{
		{"sleep~5", 5 * time.Second, 0, ""},
		{"/bin/sleep~1m", time.Minute, 0, ""},
		{"sleep~0.5", time.Second / 2, 0, ""},
		{"sleep~1m~30s", 90 * time.Second, 0, ""},
		{"sleep~infinity", Forever, 0, ""},
		{"sleep~inf", Forever, 0, ""},
		{"sleep~soon", 0, 1, "0s sleep: invalid number 'soon'"},
		{"true", 0, 0, ""},
		{"false", 0, 1, ""},
		{"echo~hello~world", 0, 0, "0s hello world"},
		{"sh~-c~exit 3", 0, 3, ""},
		{"/bin/sh~-c~sleep 5; exit 3", 5 * time.Second, 3, ""},
		{"bash~-ec~echo a; false; echo b", 0, 1, "0s a"},
		{"sh~-c~echo a && sleep 2 && echo b && exit 7", 2 * time.Second, 7, "0s a, 2s b"},
		{"sh~-c~false && echo no; echo yes", 0, 0, "0s yes"},
		{"sh~-c~false || exit 4", 0, 4, ""},
		{"sh~-c~false", 0, 1, ""},
		{"sh~-c~! false", 0, 0, ""},
		{"sh~-c~set -e\nif false; then echo x; else echo y; fi\nfalse\necho z", 0, 1, "0s y"},
		{"sh~-c~for i in 1 2 3; do echo $i; sleep 1; done", 3 * time.Second, 0, "0s 1, 1s 2, 2s 3"},
		{"sh~-c~for i in $(seq 1 3); do [ $i -eq 2 ] && break; echo $i; done; exit 9", 0, 9, "0s 1"},
		{"sh~-c~i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo n=$i; sleep 1; done", 3 * time.Second, 0, "0s n=1, 1s n=2, 2s n=3"},
		{"sh~-c~while true; do echo x; sleep 10; done", Forever, 0, "0s x, 10s x, 20s x"},
		{"sh~-c~until nslookup db; do echo waits; sleep 2; done; echo up", time.Second, 0, "1s up"},
		{"sh~-c~trap : TERM; echo $GREETING from $HOSTNAME; tail -f /dev/null", Forever, 0, "0s hi from p-0"},
		{"sh~-c~date +%H:%M:%S; sleep 3; date +%s", 3 * time.Second, 0, "0s 12:00:00, 3s 1795694403"},
		{"sh~-c~echo a > /data/file; echo b >&2; echo c > /dev/stdout; mkdir -p /x; cat", Forever, 0, "0s b, 0s c"},
		{"sh~-c~echo a | tee /x; echo b | wc -l", time.Second, 0, "0s a"},
		{"sh~-c~(exit 3); echo $?", 0, 0, "0s 3"},
		{"sh~-c~sh -c 'exit 5'; echo $?; exec sleep 2; echo never", 2 * time.Second, 0, "0s 5"},
		{"sh~-c~printf 'a %s\\n' b c; echo -n d", 0, 0, "0s a b, 0s d"},
		{"sh~-c~python work.py; exit 3", time.Second, 3, ""},
		{"sh~-c~if; then", 0, 2, "0s sh: syntax error"},
		{"sh~-c~echo ${NONE:-none}; test -f /x || echo gone", 0, 0, "0s none, 0s gone"},
		{"env~A=1~sh~-c~echo $A", 0, 0, "0s 1"},
		{"/pause", Forever, 0, ""},
		{"sh~-c~if [ $(expr 7 % 2) -ne 0 ]; then exit 4; fi", 0, 4, ""},
		{"sh~-c~expr 6 '*' 7; expr 3 - 3 || expr 1 / 0", 0, 2, "0s 42, 0s 0, 0s expr: cannot be counted"},
		{"sh~-c~env", 0, 0, "0s GREETING=hi, 0s HOSTNAME=p-0"},
		{"sh~-c~own=1; export A=2; B=3 true; GREETING=ho; printenv", 0, 0, "0s A=2, 0s GREETING=ho, 0s HOSTNAME=p-0"},
		{"id", 0, 0, "0s uid=1000 gid=0(root) groups=0(root),7"},
		{"sh~-c~id -u; id -gn; id -G; whoami; test $(id -u) -eq 1000", 0, 0, "0s 1000, 0s root, 0s 0 7, 0s 1000"},
		{"sh~-c~printenv GREETING NONE; printenv NONE || echo none", 0, 0, "0s hi, 0s none"},
	} {
		p := Program{Args: strings.Split(c.args, "~"), Env: map[string]string{"GREETING": "hi", "HOSTNAME": "p-0"}, As: Identity{User: 1000, Groups: []int64{7}}, Work: time.Second}
		if after, code := p.Outcome(); after != c.after || after != Forever && code != c.code {
			t.Errorf("%s: ends after %v with %d, want %v with %d", c.args, after, code, c.after, c.code)
		}
		play := p.Play(noon, 25*time.Second)
		if play.Ended != (c.after <= 25*time.Second) || play.Ended && (play.After != c.after || play.Code != c.code) {
			t.Errorf("%s: played to %+v", c.args, play)
		}
		var lines []string
		for _, l := range play.Lines {
			lines = append(lines, fmt.Sprintf("%v %s", l.At, l.Text))
		}
		if got := strings.Join(lines, ", "); got != c.lines {
			t.Errorf("%s: wrote %s, want %s", c.args, got, c.lines)
		}
	}
}

// A process runs as its container says, else as its pod does, else as root, and in
// the groups of both.
func TestIdentityOf(t *testing.T) {
	pod, c := &corev1.Pod{}, &corev1.Container{}
	if got := IdentityOf(pod, c).Text(""); got != "uid=0(root) gid=0(root) groups=0(root)" {
		t.Errorf("nobody says: %s", got)
	}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To(int64(1)), RunAsGroup: ptr.To(int64(2)), FSGroup: ptr.To(int64(3)), SupplementalGroups: []int64{4, 2}}
	if got := IdentityOf(pod, c).Text(""); got != "uid=1 gid=2 groups=2,4,3" {
		t.Errorf("the pod says: %s", got)
	}
	c.SecurityContext = &corev1.SecurityContext{RunAsUser: ptr.To(int64(0))}
	if got := IdentityOf(pod, c).Text(""); got != "uid=0(root) gid=2 groups=2,4,3" {
		t.Errorf("the container says: %s", got)
	}
}

// What is not understood works: as long as it is told, or for ever.
func TestWork(t *testing.T) {
	for _, args := range [][]string{nil, {"nginx", "-g", "daemon off;"}, {"sh"}, {"sh", "-c", "exec /server"}} {
		p := Program{Args: args, Work: Forever}
		if after, _ := p.Outcome(); after != Forever && args != nil {
			t.Errorf("%v ends after %v", args, after)
		}
		p.Work = 3 * time.Second
		if after, code := p.Outcome(); args != nil && (after != p.Work || code != 0) {
			t.Errorf("%v ends after %v with %d", args, after, code)
		}
	}
	if Understood(nil) || Understood([]string{"nginx"}) || !Understood([]string{"/bin/sh", "-c", "x"}) {
		t.Error("wrong about what is understood")
	}
}

// A loop that waits for nothing, a script that calls itself and a flood of
// lines come to an end.
func TestBounds(t *testing.T) {
	for _, text := range []string{
		"while :; do :; done", "while [ 1 = 1 ]; do echo x; done", "yes", "echo $(while :; do echo y; done)",
		"for i in $(seq 1 100000000); do echo $i; done",
		strings.Repeat("sh -c '", 200) + strings.Repeat("'", 200),
	} {
		p := Program{Args: []string{"sh", "-c", text}, Work: time.Second}
		p.Outcome()
		if play := p.Play(noon, time.Hour); len(play.Lines) > 2*maxLines {
			t.Errorf("%.20s: %d lines", text, len(play.Lines))
		}
	}
}

// The lines that come are announced, so that who waits for them need not look.
func TestNext(t *testing.T) {
	p := Program{Args: []string{"sh", "-c", "while true; do echo x; sleep 10; done"}}
	if play := p.Play(noon, 25*time.Second); play.Next != 30*time.Second || len(play.Lines) != 3 {
		t.Errorf("%+v, want the next at 30 s", play)
	}
	p.Args = []string{"sleep", "inf"}
	if play := p.Play(noon, 25*time.Second); play.Next != Forever || play.Ended {
		t.Errorf("%+v, want nothing more", play)
	}
}
