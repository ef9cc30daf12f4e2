package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// logVerbs are a command line of every command that reads a log. FILE is the
// recording, and OUT a file that is not there.
var logVerbs = []string{
	"state --rec FILE",
	"diff 1 2 --rec FILE",
	"why ds/node-agent -n kube-system --rec FILE",
	"why-not ds/node-agent -n kube-system --rec FILE",
	"effects 20 --rec FILE",
	"check --rec FILE",
	"check --expr true --rec FILE",
	"bisect budget --rec FILE",
	"bisect --expr true --rec FILE",
	"bisect --diff FILE --rec GOOD",
	"whatif --rec FILE",
	"plan ds/node-agent -n kube-system --set maxUnavailable=2 --rec FILE",
	"diverge --rec FILE",
	"verify --rec FILE",
	"verify -o decisions --rec FILE",
	"log --rec FILE",
	"replay --rec FILE",
	"search agent --rec FILE",
	"search --expr true --rec FILE",
	"regress FILE",
	"rollout list --rec FILE",
	"rollout compare kube-system/node-agent#1 kube-system/node-agent#1 --rec FILE",
	"rollout receipt kube-system/node-agent#1 --rec FILE",
	"rollout chart kube-system/node-agent#1 --rec FILE",
	"top --rec FILE",
	"rollout status ds/node-agent -n kube-system --watch=false --rec FILE",
	"kubectl --rec FILE --at now get nodes",
	"open --at now --rec FILE",
	"ui --rec FILE",
	"record export OUT --rec FILE",
	"record export --html OUT --rec FILE",
	"record info FILE",
	"record verify FILE",
	"record import FILE --data OUT",
}

// badFile is a file that is no recording that can be read.
type badFile struct {
	name  string
	codes string // any of these
	exit  int
	// late: what was changed may not be what is asked about, and what comes before
	// it may have been told
	late bool
}

// partsOf returns where the parts of a recording begin.
func partsOf(t *testing.T, b []byte) (at []int) {
	t.Helper()
	le := binary.LittleEndian
	for i := 0; bytes.HasPrefix(b[i:], []byte("PK\x03\x04")); {
		at = append(at, i)
		i += 30 + int(le.Uint16(b[i+26:])) + int(le.Uint16(b[i+28:])) + int(le.Uint32(b[i+18:]))
	}
	if len(at) < 2 {
		t.Fatalf("the recording has %d parts", len(at))
	}
	return at
}

// forgedPart returns the part of a recording that begins at a byte, which says of
// itself that it unpacks to size bytes. Its sum is right.
func forgedPart(b []byte, at int, size uint32) []byte {
	le := binary.LittleEndian
	head := 30 + int(le.Uint16(b[at+26:])) + int(le.Uint16(b[at+28:]))
	p := bytes.Clone(b[at : at+head+int(le.Uint32(b[at+18:]))])
	le.PutUint32(p[22:], size)
	sum := sha256.Sum256(append(bytes.Clone(p[:head-32]), p[head:]...))
	copy(p[head-32:], sum[:])
	return p
}

// badFiles writes a file of each kind.
func badFiles(t *testing.T, dir string, good []byte) []badFile {
	t.Helper()
	parts := partsOf(t, good)
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 4
		return b
	}
	newer := bytes.Replace(good, []byte(`"format": 1`), []byte(`"format": 9`), 1)
	le := binary.LittleEndian
	head := 30 + int(le.Uint16(newer[26:])) + int(le.Uint16(newer[28:]))
	le.PutUint32(newer[14:], crc32.ChecksumIEEE(newer[head:][:le.Uint32(newer[18:])]))
	huge := append(bytes.Clone(good[:parts[1]]), forgedPart(good, parts[1], 1<<32-1)...)
	terabyte := bytes.Clone(good[:parts[1]])
	for range 256 {
		terabyte = append(terabyte, forgedPart(good, parts[1], 1<<32-1)...)
	}
	var foreign bytes.Buffer
	z := zip.NewWriter(&foreign)
	for _, name := range []string{"manifest.json", "block"} {
		w, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CompressedSize64: 4, UncompressedSize64: 1 << 40})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte{3, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return []badFile{
		{name: filepath.Join(dir, "nosuch"), codes: "E-REC-NONE", exit: 2},
		{name: dir, codes: "E-REC-NONE", exit: 2},
		{name: write("empty", nil), codes: "E-REC-NONE", exit: 2},
		{name: write("text", []byte("hello\n")), codes: "E-REC-NONE", exit: 2},
		{name: write("foreign", foreign.Bytes()), codes: "E-REC-NONE", exit: 2},
		{name: write("newer", newer), codes: "E-REC-VERSION", exit: 2},
		{name: write("huge", huge), codes: "E-REC-LIMIT", exit: 2},
		{name: write("terabyte", terabyte), codes: "E-REC-LIMIT", exit: 2},
		{name: write("cut", good[:100]), codes: "E-REC-TORN", exit: 3},
		{name: write("cut in the first block", good[:parts[1]+200]), codes: "E-REC-TORN", exit: 3},
		{name: write("manifest", flipped(200)), codes: "E-REC-DAMAGED", exit: 3},
		{name: write("block", flipped(parts[1]+200)), codes: "E-REC-DAMAGED", exit: 3, late: true},
		{name: write("directory", flipped(len(good)-100)), codes: "E-REC-DAMAGED", exit: 3, late: true},
	}
}

// fill puts files in the place of their names in a command line.
func fill(line, file, good, out string) (args []string) {
	for _, a := range strings.Fields(line) {
		switch a {
		case "FILE":
			a = file
		case "GOOD":
			a = good
		case "OUT":
			a = out
		}
		args = append(args, a)
	}
	return args
}

// answers is what a command line prints, and how it ends.
func answers(t *testing.T, args []string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	if args[0] == kubectlName { // it ends its process
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), self)
		c.Args, c.Stdout, c.Stderr = append([]string{"rollcall"}, args...), &o, &e
		if err := c.Run(); err != nil {
			code = exitCode(err)
		}
	} else {
		code = run(t.Context(), args, strings.NewReader(""), &o, &e)
	}
	return code, o.String(), e.String()
}

// oneLine is an error as it is printed, after warnings.
var oneLine = regexp.MustCompile(`^(?:warning: [^\n]*\n)*error: (E-[A-Z0-9-]+): [^\n]+\n$`)

// smallRecording makes a recording of the first events of one of the six.
func smallRecording(t *testing.T, last string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.rollcall")
	from, err := filepath.Abs(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := answers(t, []string{"record", "export", path, "--to", last, "--rec", from}); code != 0 {
		t.Fatal(errs)
	}
	return path
}

// TestBadRecordings gives every command that reads a recording each kind of file
// that is none, or is not what was written: it says so in one line, with exit code
// 2, or 3 for damage, in bounded memory, and leaves nothing behind.
func TestBadRecordings(t *testing.T) {
	sandbox(t)
	path := smallRecording(t, "160")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := badFiles(t, t.TempDir(), good)
	for _, line := range logVerbs {
		if strings.HasPrefix(line, "open ") || strings.HasPrefix(line, "ui ") || strings.HasPrefix(line, "plan ") || strings.HasPrefix(line, "diverge ") {
			continue // it serves until it is stopped; a plan looks beyond the end of this one, which is no record of a cluster
		}
		out := filepath.Join(t.TempDir(), "out")
		if code, _, errs := answers(t, fill(line, path, path, out)); code > 1 {
			t.Errorf("rollcall %s, of what is as it should be: exit code %d, %s", line, code, errs)
		}
	}
	var before, after runtime.MemStats
	for _, f := range files {
		for _, line := range logVerbs {
			if strings.HasPrefix(line, "ui ") && f.late {
				continue // it is served up to there, and the page says what is wrong
			}
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			runtime.ReadMemStats(&before)
			code, said, errs := answers(t, fill(line, f.name, path, out))
			runtime.ReadMemStats(&after)
			what := "rollcall " + line + " of " + filepath.Base(f.name)
			if strings.HasPrefix(line, "record info") && f.late {
				continue // it reads no event
			}
			if strings.HasPrefix(line, "regress") { // it tells of each file
				if code != f.exit || !strings.HasPrefix(said, "failed ") || !strings.Contains(said, f.codes) {
					t.Errorf("%s: exit code %d, %q, %q", what, code, said, errs)
				}
				continue
			}
			m := oneLine.FindStringSubmatch(errs)
			switch {
			case m == nil:
				t.Errorf("%s: exit code %d, not one line: %q", what, code, errs)
			case code != f.exit || m[1] != f.codes:
				t.Errorf("%s: exit code %d, %q; want %d, %s", what, code, errs, f.exit, f.codes)
			case said != "" && !(f.late && strings.HasPrefix(line, "log")):
				t.Errorf("%s: prints %q besides", what, said)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%s: leaves %v", what, left)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
				t.Errorf("%s: takes %d bytes", what, n)
			}
		}
	}
}

// TestDamagedBits flips bits all over a small recording. What a command then says
// is what it said of the whole one, or that the recording is damaged: never another
// answer, and nothing else.
func TestDamagedBits(t *testing.T) {
	sandbox(t)
	path := smallRecording(t, "60")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"state --hash --rec FILE", "verify --rec FILE", "log --rec FILE", "why node/node-0001 --rec FILE"}
	want := map[string]string{}
	for _, line := range lines {
		code, out, errs := answers(t, fill(line, path, path, ""))
		if code != 0 || errs != "" {
			t.Fatalf("rollcall %s: exit code %d, %s", line, code, errs)
		}
		want[line] = out
	}
	step := 211 // bits: events/recording flips every one of them
	found := 0
	for bit := 0; bit < 8*len(good); bit += step {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		line := lines[bit/step%len(lines)]
		code, out, errs := answers(t, fill(line, path, path, ""))
		switch {
		case code == 3 && oneLine.MatchString(errs) && strings.HasPrefix(want[line], out):
			found++
		case code == 0 && out == want[line] && errs == "":
		default:
			t.Errorf("bit %d of byte %d, rollcall %s: exit code %d, %q, %.200q", bit%8, bit/8, line, code, errs, out)
		}
	}
	if found < 8*len(good)/step/2 {
		t.Errorf("%d of %d flipped bits were found", found, 8*len(good)/step)
	}
}

// instants are the flags that take an instant.
var instants = []string{"at", "from", "to", "good", "bad"}

// TestBadInstants gives every flag that takes an instant what is none, or is not in
// the log, and every pair of them a range that goes backward.
func TestBadInstants(t *testing.T) {
	sandbox(t)
	rec, err := filepath.Abs(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{"yesterday", "-1", "1e3", "439", "18446744073709551616", "2999-01-01T00:00:00Z", "-5x", "@01ARZ3NDEKTSV4RRFFQ69G5FAV", "@x",
		"rollout/kube-system/nobody#1:start", "rollout/kube-system/node-agent#9:start", "rollout/kube-system/node-agent#2:middle", "rollout/", "#", "x y"}
	n := 0
	refuse := func(args []string, codes ...string) {
		t.Helper()
		n++
		code, out, errs := answers(t, args)
		m := oneLine.FindStringSubmatch(errs)
		if code != 2 || out != "" || m == nil || !slices.Contains(codes, m[1]) {
			t.Errorf("rollcall %q: exit code %d, prints %q, %q", args, code, out, errs)
		}
	}
	for _, line := range logVerbs {
		if !strings.Contains(line, "--rec FILE") {
			continue
		}
		out := filepath.Join(t.TempDir(), "out")
		args := fill(strings.ReplaceAll(line, " --at now", ""), rec, rec, out)
		c, _, err := testRoot().Find(args)
		if err != nil {
			t.Fatal(err)
		}
		first := args[:1]
		rest := args[1:]
		has := func(flag string) bool {
			return c.Flags().Lookup(flag) != nil || c.Name() == "kubectl" && flag == "at"
		}
		for _, flag := range instants {
			for _, at := range bad {
				if has(flag) && !(c.Name() == "rollout") {
					refuse(slices.Concat(first, placed(c, rest, "--"+flag+"="+at)), "E-CLI-INSTANT", "E-CLI-RANGE")
				}
			}
		}
		for _, pair := range [][2]string{{"from", "to"}, {"good", "bad"}} {
			if has(pair[0]) && has(pair[1]) {
				refuse(slices.Concat(first, placed(c, rest, "--"+pair[0]+"=30", "--"+pair[1]+"=20")), "E-CLI-RANGE")
			}
		}
	}
	for _, at := range bad {
		refuse([]string{"diff", at, "now", "--rec", rec}, "E-CLI-INSTANT", "E-CLI-FLAG")
		refuse([]string{"effects", at, "--rec", rec}, "E-CLI-INSTANT", "E-CLI-FLAG")
	}
	refuse([]string{"diff", "30", "20", "--rec", rec}, "E-CLI-RANGE")
	if n < 150 {
		t.Errorf("only %d command lines were tried", n)
	}
}

// placed puts flags where a command takes them: those of kubectl come first, and
// those of a command under another after both names.
func placed(c *cobra.Command, rest []string, flags ...string) []string {
	if c.Name() == "kubectl" {
		return slices.Concat(flags, rest)
	}
	return slices.Concat(rest, flags)
}

// TestLogVerbs: every command that reads a recording is among those that the tests
// of bad input try.
func TestLogVerbs(t *testing.T) {
	tried := map[*cobra.Command]bool{}
	root := testRoot()
	for _, line := range logVerbs {
		c, _, err := root.Find(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		tried[c] = true
	}
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		reads := c.Parent() != nil && c.Parent().Name() == "record"
		c.Flags().VisitAll(func(f *pflag.Flag) { reads = reads || f.Name == "rec" })
		if reads && c.Runnable() && !tried[c] {
			t.Errorf("%s reads recordings, and no test of bad input tries it", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(root)
}
