package shell

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
)

// commands are what a container knows, besides functions of a script. Each gets
// its arguments without its name, and returns its exit code.
var commands map[string]func(*state, []string) int

func init() {
	commands = map[string]func(*state, []string) int{
		":": succeed, "true": succeed, "false": func(*state, []string) int { return 1 },
		"echo": (*state).echo, "printf": (*state).printf, "cat": (*state).cat, "ls": (*state).ls, "pwd": (*state).pwd, "cd": (*state).cd,
		"exit": (*state).exit, "return": (*state).leave, "break": (*state).leave, "continue": (*state).leave,
		"set": (*state).setOptions, "unset": (*state).unsetVars, "shift": (*state).shift, "read": (*state).read, "eval": (*state).eval, "exec": (*state).exec,
		"trap": succeed, "command": (*state).commandV, "which": (*state).which, "type": (*state).which, "help": (*state).help,
		"env": (*state).env, "printenv": (*state).printenv, "hostname": (*state).hostname, "date": (*state).date, "sleep": (*state).sleepFor,
		"id": (*state).id, "whoami": (*state).whoami, "ps": (*state).ps, "uname": (*state).uname, "uptime": (*state).uptime, "kill": (*state).kill,
		"test": (*state).test, "[": (*state).test, "seq": (*state).seq, "yes": (*state).yes, "basename": (*state).basename, "dirname": (*state).dirname,
		"touch": (*state).touch, "mkdir": (*state).mkdir, "rm": (*state).rm, "cp": (*state).cp, "mv": (*state).mv, "chmod": succeed, "chown": succeed,
		"sync": succeed, "find": (*state).find, "df": (*state).df, "mount": (*state).mount, "stat": (*state).stat, "du": (*state).du,
		"grep": (*state).grep, "head": (*state).head, "tail": (*state).tail, "wc": (*state).wc, "sort": (*state).sort, "uniq": (*state).uniq,
		"cut": (*state).cut, "tr": (*state).tr, "tee": (*state).tee, "base64": (*state).base64, "md5sum": (*state).sum, "sha256sum": (*state).sum,
		"tar": (*state).tar, "nslookup": (*state).nslookup, "dig": (*state).dig, "host": (*state).host, "getent": (*state).getent,
		"wget": (*state).wget, "curl": (*state).curl, "ping": (*state).noPackets, "nc": (*state).noPackets, "telnet": (*state).noPackets, "traceroute": (*state).noPackets,
	}
}

// known are the names of the commands that a container knows, in order.
func known() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(commands)), func(n string) bool { return n == ":" || n == "[" })
}

func succeed(*state, []string) int { return 0 }

// command runs one by its name.
func (s *state) command(args []string) int {
	if len(args) == 0 {
		return 0
	}
	name := args[0]
	if f := s.funcs[name]; f != nil {
		return s.function(f, args[1:])
	}
	if isShell(name) {
		return s.subshell(func(sub *state) { sub.last = sub.start(args[1:], false) })
	}
	short := name
	if strings.HasPrefix(name, "/bin/") || strings.HasPrefix(name, "/usr/bin/") || strings.HasPrefix(name, "/sbin/") || strings.HasPrefix(name, "/usr/sbin/") {
		short = base(name)
	}
	if run := commands[short]; run != nil {
		switch short {
		case "return", "break", "continue", "md5sum", "sha256sum", "ping", "nc", "telnet", "traceroute", "[":
			return run(s, append([]string{short}, args[1:]...))
		}
		return run(s, args[1:])
	}
	if strings.Contains(name, "/") {
		if text, err := s.container.Files.Read(s.path(name)); err == nil {
			return s.subshell(func(sub *state) {
				sub.name, sub.params = name, args[1:]
				sub.last = sub.script(strings.NewReader(string(text)))
			})
		}
	}
	return s.fail(codeNotFound, "sh: %s: not found (this container is simulated: it knows a few commands, which help lists)", name)
}

func (s *state) help([]string) int {
	fmt.Fprintf(s.out, "%sIt knows: %s\n", banner, strings.Join(known(), " "))
	return 0
}

func (s *state) echo(args []string) int {
	newline, escapes := "\n", false
	for len(args) > 0 && (args[0] == "-n" || args[0] == "-e" || args[0] == "-ne" || args[0] == "-en") {
		if strings.Contains(args[0], "n") {
			newline = ""
		}
		escapes = escapes || strings.Contains(args[0], "e")
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		// Format reads the escapes of echo, too; a percent sign is not one of them.
		if out, _, err := expand.Format(s.config(), strings.ReplaceAll(text, "%", "%%"), nil); err == nil {
			text = out
		}
	}
	return s.write(text + newline)
}

// write writes what a command says: nobody reads it any more if that fails.
func (s *state) write(text string) int {
	if _, err := io.WriteString(s.out, text); err != nil {
		return codeSignal + 13 // SIGPIPE
	}
	return 0
}

func (s *state) printf(args []string) int {
	if len(args) == 0 {
		return s.fail(codeUsage, "usage: printf FORMAT [ARGUMENT...]")
	}
	if hugeWidth(args[0]) || strings.Contains(args[0], "*") {
		return s.fail(1, "printf: %v", errTooLong)
	}
	format, rest := args[0], args[1:]
	for {
		text, n, err := expand.Format(s.config(), format, rest)
		if err != nil {
			return s.fail(1, "printf: %v", err)
		}
		if code := s.write(text); code != 0 {
			return code
		}
		if rest = rest[min(n, len(rest)):]; n == 0 || len(rest) == 0 {
			return 0
		}
	}
}

// hugeWidth reports whether a format has a number of more than three digits.
func hugeWidth(format string) bool {
	digits := 0
	for _, c := range format {
		if c < '0' || c > '9' {
			digits = 0
		} else if digits++; digits > 3 {
			return true
		}
	}
	return false
}

func (s *state) exit(args []string) int {
	s.flow = exits
	return s.code(args)
}

// code is the exit code that an argument says, or the last one.
func (s *state) code(args []string) int {
	if len(args) == 0 {
		return s.last
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return s.fail(codeUsage, "sh: %s: not a number", args[0])
	}
	return n & 0xff
}

// leave is return, break and continue.
func (s *state) leave(args []string) int {
	s.levels = 1
	if len(args) > 1 && args[0] != "return" {
		if n, err := strconv.Atoi(args[1]); err == nil && n > 0 {
			s.levels = n
		}
	}
	switch args[0] {
	case "return":
		s.flow = returns
		return s.code(args[1:])
	case "break":
		s.flow = breaks
	default:
		s.flow = continues
	}
	return 0
}

func (s *state) setOptions(args []string) int {
	if len(args) == 0 {
		for _, k := range slices.Sorted(maps.Keys(s.vars)) {
			fmt.Fprintf(s.out, "%s='%s'\n", k, s.vars[k].value)
		}
	}
	for i, a := range args {
		switch {
		case a == "--":
			s.params = args[i+1:]
			return 0
		case len(a) > 1 && (a[0] == '-' || a[0] == '+'):
			s.option(a)
		default:
			s.params = args[i:]
			return 0
		}
	}
	return 0
}

func (s *state) unsetVars(args []string) int {
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			delete(s.vars, a)
			delete(s.funcs, a)
		}
	}
	return 0
}

func (s *state) shift(args []string) int {
	n := 1
	if len(args) > 0 {
		n = s.code(args)
	}
	if n > len(s.params) {
		return 1
	}
	s.params = s.params[n:]
	return 0
}

func (s *state) eval(args []string) int {
	if s.depth++; s.depth > mostDepth {
		return s.fail(codeUsage, "sh: too deep")
	}
	defer func() { s.depth-- }()
	return s.script(strings.NewReader(strings.Join(args, " ")))
}

func (s *state) exec(args []string) int {
	if len(args) == 0 {
		return 0
	}
	code := s.command(args)
	s.flow = exits
	return code
}

// read reads a line into variables, byte by byte so that the next command has the
// rest.
func (s *state) read(args []string) int {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-p" && len(args) > 1 {
			fmt.Fprint(s.err, args[1])
			args = args[1:]
		}
		args = args[1:]
	}
	var line []byte
	ended := false
	for b := make([]byte, 1); len(line) < mostBytes/16; {
		n, err := s.in.Read(b)
		if n == 1 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
		if err != nil {
			ended = true
			break
		}
	}
	if len(args) == 0 {
		args = []string{"REPLY"}
	}
	parts := expand.ReadFields(s.config(), string(line), len(args), true)
	for i, name := range args {
		value := ""
		if i < len(parts) {
			value = parts[i]
		}
		if err := s.set(name, value); err != nil {
			return s.fail(1, "sh: %v", err)
		}
	}
	return truth(!ended || len(line) > 0)
}

func (s *state) commandV(args []string) int {
	if len(args) > 0 && (args[0] == "-v" || args[0] == "-V") {
		return s.which(args[1:])
	}
	return s.command(args)
}

func (s *state) which(args []string) int {
	code := 0
	for _, a := range args {
		switch {
		case s.funcs[a] != nil:
			fmt.Fprintln(s.out, a)
		case commands[a] != nil || isShell(a):
			fmt.Fprintln(s.out, "/bin/"+a)
		default:
			code = 1
		}
	}
	return code
}

func (s *state) env(args []string) int {
	sub := s.copy()
	for len(args) > 0 {
		name, value, is := strings.Cut(args[0], "=")
		switch {
		case args[0] == "-i":
			clear(sub.vars)
		case is:
			sub.vars[name] = variable{value: value, exported: true}
		default:
			return sub.command(args)
		}
		args = args[1:]
	}
	sub.printEnv()
	return 0
}

func (s *state) printenv(args []string) int {
	if len(args) == 0 {
		s.printEnv()
		return 0
	}
	code := 0
	for _, a := range args {
		if v, there := s.vars[a]; there && v.exported {
			fmt.Fprintln(s.out, v.value)
		} else {
			code = 1
		}
	}
	return code
}

// sleepFor sleeps as long as its arguments say.
func (s *state) sleepFor(args []string) int {
	var total time.Duration
	for _, a := range args {
		if a == "infinity" || a == "inf" {
			<-s.ctx.Done()
			return codeKilled
		}
		unit := time.Second
		switch a[len(a)-1:] {
		case "s":
			a = a[:len(a)-1]
		case "m":
			unit, a = time.Minute, a[:len(a)-1]
		case "h":
			unit, a = time.Hour, a[:len(a)-1]
		case "d":
			unit, a = 24*time.Hour, a[:len(a)-1]
		}
		n, err := strconv.ParseFloat(a, 64)
		if err != nil || n < 0 || n > 1e9 {
			return s.fail(1, "sleep: invalid number '%s'", a)
		}
		total += time.Duration(n * float64(unit))
	}
	if !s.sleep(total) {
		return codeKilled
	}
	return 0
}
