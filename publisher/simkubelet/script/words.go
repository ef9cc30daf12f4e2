package script

import (
	"bytes"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// environ lets a shell see and set the variables of a run.
type environ struct{ r *run }

func (e environ) Get(name string) expand.Variable {
	if name == "?" {
		return expand.Variable{Set: true, Kind: expand.String, Str: strconv.Itoa(int(e.r.code))}
	}
	v, ok := e.r.vars[name]
	if !ok {
		v, ok = e.r.program.Env[name]
	}
	if !ok && name == "HOME" || strings.HasPrefix(name, "HOME ") {
		v, ok = "/root", true // or the user of this process would be asked
	}
	return expand.Variable{Set: ok, Kind: expand.String, Str: v, Exported: true}
}

func (e environ) Each(func(string, expand.Variable) bool) {}

// Set implements expand.WriteEnviron, for arithmetic that assigns.
func (e environ) Set(name string, v expand.Variable) error {
	e.r.vars[name] = v.String()
	return nil
}

var _ expand.WriteEnviron = environ{}

func (r *run) expander() *expand.Config {
	return &expand.Config{Env: environ{r}, CmdSubst: func(w io.Writer, s *syntax.CmdSubst) error {
		was := r.out
		r.out = &bytes.Buffer{}
		r.subshell(s.Stmts)
		text := r.out.Bytes()
		r.out = was
		_, err := w.Write(text)
		return err
	}}
}

func (r *run) assign(a *syntax.Assign) {
	if a.Name == nil || a.Naked {
		return
	}
	value, err := expand.Literal(r.expander(), a.Value)
	if err != nil {
		return
	}
	if a.Append {
		value = environ{r}.Get(a.Name.Value).Str + value
	}
	r.vars[a.Name.Value] = value
}

func (r *run) call(c *syntax.CallExpr) {
	if len(c.Assigns) > 0 && len(c.Args) > 0 { // they are of this command alone
		vars, exported := maps.Clone(r.vars), maps.Clone(r.exported)
		defer func() { r.vars, r.exported = vars, exported }()
	}
	for _, a := range c.Assigns {
		r.assign(a)
		if a.Name != nil && len(c.Args) > 0 {
			r.exported[a.Name.Value] = true
		}
	}
	if len(c.Args) == 0 {
		r.code = 0
		return
	}
	args, err := expand.Fields(r.expander(), c.Args...)
	if r.flow != on {
		return
	}
	if err != nil || len(args) == 0 {
		r.code = truth(err == nil)
		return
	}
	r.command(args)
}

// words are the commands that are understood.
var words = map[string]func(r *run, args []string){}

func init() {
	maps.Copy(words, map[string]func(r *run, args []string){
		"true": succeed, ":": succeed, "false": fail, "read": fail, // there is no input
		"sleep": sleep, "echo": echo, "printf": printf, "exit": exit, "return": exit,
		"break": leave, "continue": leave, "exec": execute, "env": execute, "nohup": execute, "printenv": printEnv,
		"sh": runShell, "bash": runShell, "ash": runShell, "dash": runShell,
		"test": test, "[": test, "expr": expr, "set": set, "seq": seq, "date": date, "tail": tail, "cat": cat, "yes": yes, "pause": pause, "id": id,
		"hostname": says(func(r *run) string { return r.program.Env["HOSTNAME"] }),
		"pwd":      says(func(*run) string { return "/" }),
		"whoami":   says(func(r *run) string { return r.program.As.Name() }),
		"uname":    says(func(*run) string { return "Linux" }),
	})
	// Those that take no time and write nothing worth telling.
	for _, name := range []string{"mkdir", "chmod", "chown", "touch", "rm", "cp", "mv", "ln", "ls", "cd", "sync", "trap", "wait", "unset", "shift", "umask", "ulimit"} {
		words[name] = succeed
	}
}

func known(name string) bool { return words[name] != nil }

// command runs one command. One that is not understood works, and does it well.
func (r *run) command(args []string) {
	if len(args) == 0 || !r.step() {
		return
	}
	if do := words[path.Base(args[0])]; do != nil {
		do(r, args)
		return
	}
	r.code = 0
	r.wait(r.program.Work)
}

func succeed(r *run, _ []string) { r.code = 0 }

func fail(r *run, _ []string) { r.code = 1 }

func says(text func(r *run) string) func(r *run, args []string) {
	return func(r *run, _ []string) {
		r.code = 0
		r.write(text(r) + "\n")
	}
}

// units are those of sleep.
var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}

func sleep(r *run, args []string) {
	var total time.Duration
	for _, a := range args[1:] {
		if a == "infinity" || a == "inf" {
			total = Forever
			break
		}
		unit := time.Second
		if a != "" && units[a[len(a)-1]] > 0 {
			unit, a = units[a[len(a)-1]], a[:len(a)-1]
		}
		n, err := strconv.ParseFloat(a, 64)
		if err != nil || n < 0 || n > 1e9 {
			r.write("sleep: invalid number '" + a + "'\n")
			r.code = 1
			return
		}
		total += time.Duration(n * float64(unit))
	}
	r.code = 0
	if len(args) == 1 {
		r.write("sleep: missing operand\n")
		r.code = 1
	}
	r.wait(total)
}

func exit(r *run, args []string) {
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			n = 2
		}
		r.code = int32(n) & 255
	}
	r.flow = ended
}

func leave(r *run, args []string) {
	r.flow, r.levels = breaks, 1
	if args[0] == "continue" {
		r.flow = continues
	}
	if len(args) > 1 {
		if n, err := strconv.Atoi(args[1]); err == nil {
			r.levels = n
		}
	}
}

// runShell is a shell with -c; one that is to read from nobody waits for ever.
func runShell(r *run, args []string) {
	was := r.strict
	for i, a := range args[1:] {
		if !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+") {
			break
		}
		r.strict = r.strict || strings.Contains(a, "e") && !strings.HasPrefix(a, "--")
		if strings.Contains(a, "c") && !strings.HasPrefix(a, "--") && len(args) > i+2 {
			r.code = 0
			r.shell(args[i+2])
			r.strict = was
			if r.flow == ended && r.depth > 0 {
				r.flow = on // the shell inside, not the one around it
			}
			return
		}
	}
	r.strict = was
	r.wait(r.program.Work)
}

func set(r *run, args []string) {
	r.code = 0
	for _, a := range args[1:] {
		switch {
		case strings.HasPrefix(a, "-") && strings.Contains(a, "e"):
			r.strict = true
		case strings.HasPrefix(a, "+") && strings.Contains(a, "e"):
			r.strict = false
		}
	}
}

// tail follows for ever, and is done at once otherwise.
func tail(r *run, args []string) {
	r.code = 0
	if slices.ContainsFunc(args[1:], func(a string) bool { return a == "-f" || a == "-F" || strings.HasPrefix(a, "--follow") }) {
		r.wait(Forever)
	}
}

// cat waits for input that nobody gives, and finds its files empty.
func cat(r *run, args []string) {
	if r.code = 0; len(args) == 1 {
		r.wait(Forever)
	}
}

func yes(r *run, _ []string) { r.wait(Forever) }

// pause does nothing until it is told to stop: what it is for.
func pause(r *run, _ []string) { r.wait(Forever) }

// clockFormats are what of strftime date knows.
var clockFormats = strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05", "%F", "2006-01-02",
	"%T", "15:04:05", "%Z", "UTC", "%z", "+0000", "%a", "Mon", "%b", "Jan", "%e", "_2", "%y", "06", "%N", "000000000")

func date(r *run, args []string) {
	at, format := r.start.Add(r.now).UTC(), "Mon Jan _2 15:04:05 UTC 2006"
	for _, a := range args[1:] {
		if f, ok := strings.CutPrefix(a, "+"); ok {
			format = clockFormats.Replace(strings.ReplaceAll(f, "%s", "\x00"))
		}
	}
	r.code = 0
	r.write(strings.ReplaceAll(at.Format(format), "\x00", strconv.FormatInt(at.Unix(), 10)) + "\n")
}

// test compares words and numbers; there are no files.
func test(r *run, args []string) {
	args = args[1:]
	if n := len(args); n > 0 && args[n-1] == "]" {
		args = args[:n-1]
	}
	not := len(args) > 0 && args[0] == "!"
	if not {
		args = args[1:]
	}
	r.code = truth(holds(args) != not)
}

func holds(args []string) bool {
	switch len(args) {
	case 0:
		return false
	case 1:
		return args[0] != ""
	case 2:
		return args[0] == "-n" && args[1] != "" || args[0] == "-z" && args[1] == ""
	}
	a, errA := strconv.Atoi(args[0])
	b, errB := strconv.Atoi(args[2])
	if numbers := errA == nil && errB == nil; numbers {
		switch args[1] {
		case "-eq":
			return a == b
		case "-ne":
			return a != b
		case "-lt":
			return a < b
		case "-le":
			return a <= b
		case "-gt":
			return a > b
		case "-ge":
			return a >= b
		}
	}
	switch args[1] {
	case "=", "==":
		return args[0] == args[2]
	case "!=":
		return args[0] != args[2]
	}
	return false
}

func echo(r *run, args []string) {
	args = args[1:]
	end, escapes := "\n", false
	for len(args) > 0 && (args[0] == "-n" || args[0] == "-e" || args[0] == "-ne" || args[0] == "-en") {
		if strings.Contains(args[0], "n") {
			end = ""
		}
		escapes = escapes || strings.Contains(args[0], "e")
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		text = unescape(text)
	}
	r.code = 0
	r.write(text + end)
}

func unescape(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`, `\r`, "\r").Replace(s)
}

func printf(r *run, args []string) {
	if r.code = 0; len(args) < 2 {
		return
	}
	text, _, err := expand.Format(r.expander(), args[1], args[2:])
	if err != nil {
		text, r.code = args[1], 1
	}
	r.write(text)
}
