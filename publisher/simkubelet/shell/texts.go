package shell

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Commands about lines of text.

// inputs are the readers that paths name, or what comes in. ok is false if one of
// them is not there, which has been said.
func (s *state) inputs(name string, paths []string) (all []io.Reader, ok bool) {
	if len(paths) == 0 {
		return []io.Reader{s.in}, true
	}
	ok = true
	for _, p := range paths {
		if p == "-" || p == "/dev/stdin" {
			all = append(all, s.in)
			continue
		}
		data, err := s.container.Files.Read(s.path(p))
		if err != nil {
			ok = s.fail(1, "%s: %s: %v", name, p, err) == 0
			continue
		}
		all = append(all, strings.NewReader(string(data)))
	}
	return all, ok
}

func (s *state) cat(args []string) int {
	_, paths := flagsOf(args)
	ins, ok := s.inputs("cat", paths)
	for _, in := range ins {
		if _, err := io.Copy(s.out, in); err != nil {
			return codeSignal + 13
		}
	}
	return truth(ok)
}

// lines calls visit with each line of what paths name, until it returns false.
func (s *state) lines(name string, paths []string, visit func(line string) bool) int {
	ins, ok := s.inputs(name, paths)
	for _, in := range ins {
		r := bufio.NewScanner(in)
		r.Buffer(nil, mostBytes)
		for r.Scan() {
			if !visit(r.Text()) || !s.step() {
				return truth(ok)
			}
		}
		if err := r.Err(); err != nil {
			return s.fail(1, "%s: %v", name, err)
		}
	}
	return truth(ok)
}

func (s *state) grep(args []string) int {
	flags, rest := flagsOf(args)
	if len(rest) == 0 {
		return s.fail(codeUsage, "usage: grep [-EFivqcno] PATTERN [FILE...]")
	}
	expr := rest[0]
	switch {
	case strings.Contains(flags, "F"):
		expr = quote(expr)
	case !strings.ContainsAny(flags, "EP"):
		// A basic expression has its operators behind backslashes.
		expr = strings.NewReplacer(`\|`, `|`, `\+`, `+`, `\?`, `?`, `\(`, `(`, `\)`, `)`, `(`, `\(`, `)`, `\)`, `|`, `\|`, `+`, `\+`, `?`, `\?`).Replace(expr)
	}
	if strings.Contains(flags, "i") {
		expr = "(?i)" + expr
	}
	re := compile(expr)
	if re == nil {
		return s.fail(codeUsage, "grep: bad pattern")
	}
	found, n := 0, 0
	code := s.lines("grep", rest[1:], func(line string) bool {
		n++
		if re.MatchString(line) == strings.Contains(flags, "v") {
			return true
		}
		found++
		switch {
		case strings.Contains(flags, "q"):
			return false
		case strings.Contains(flags, "c"):
		case strings.Contains(flags, "o"):
			for _, m := range re.FindAllString(line, -1) {
				fmt.Fprintln(s.out, m)
			}
		case strings.Contains(flags, "n"):
			return s.write(strconv.Itoa(n)+":"+line+"\n") == 0
		default:
			return s.write(line+"\n") == 0
		}
		return true
	})
	if strings.Contains(flags, "c") {
		fmt.Fprintln(s.out, found)
	}
	if code != 0 {
		return codeUsage
	}
	return truth(found > 0)
}

func quote(text string) string {
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// count reads -n N, -nN, -N and -c N; unit is n or c.
func count(args []string) (n int, unit byte, from bool, rest []string) {
	n, unit = 10, 'n'
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		text := a[1:]
		if text[0] == 'n' || text[0] == 'c' {
			unit = text[0]
			if text = text[1:]; text == "" && i+1 < len(args) {
				i++
				text = args[i]
			}
		}
		from = strings.HasPrefix(text, "+")
		if v, err := strconv.Atoi(strings.TrimPrefix(text, "+")); err == nil {
			n = max(v, 0)
		}
	}
	return n, unit, from, rest
}

func (s *state) head(args []string) int {
	n, unit, _, paths := count(args)
	if unit == 'c' {
		ins, ok := s.inputs("head", paths)
		for _, in := range ins {
			_, _ = io.CopyN(s.out, in, int64(n)) // less is no error
		}
		return truth(ok)
	}
	if n == 0 {
		return 0
	}
	return s.lines("head", paths, func(line string) bool {
		n--
		return s.write(line+"\n") == 0 && n > 0
	})
}

func (s *state) tail(args []string) int {
	follow := slices.ContainsFunc(args, func(a string) bool { return a == "-f" || a == "-F" })
	n, unit, from, paths := count(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-f" || a == "-F" }))
	if unit == 'c' {
		ins, ok := s.inputs("tail", paths)
		for _, in := range ins {
			data, _ := io.ReadAll(io.LimitReader(in, mostBytes))
			_, _ = s.out.Write(data[max(len(data)-n, 0):])
		}
		return truth(ok)
	}
	var last []string
	at := 0
	code := s.lines("tail", paths, func(line string) bool {
		at++
		switch {
		case from && at >= n:
			return s.write(line+"\n") == 0
		case !from && n > 0:
			if last = append(last, line); len(last) > min(n, mostFields) {
				last = last[1:]
			}
		}
		return true
	})
	for _, line := range last {
		fmt.Fprintln(s.out, line)
	}
	if follow && code == 0 {
		<-s.ctx.Done() // nothing writes more
	}
	return code
}

func (s *state) wc(args []string) int {
	flags, paths := flagsOf(args)
	lines, words, bytes := 0, 0, 0
	ins, ok := s.inputs("wc", paths)
	for _, in := range ins {
		r := bufio.NewReader(in)
		inWord := false
		for {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			bytes++
			space := b == ' ' || b == '\n' || b == '\t' || b == '\r'
			if b == '\n' {
				lines++
			}
			if !space && !inWord {
				words++
			}
			inWord = !space
		}
	}
	var ns []string
	for _, x := range []struct {
		flag string
		n    int
	}{{"l", lines}, {"w", words}, {"c", bytes}} {
		if flags == "" || strings.Contains(flags, x.flag) {
			ns = append(ns, strconv.Itoa(x.n))
		}
	}
	text := strings.Join(append(ns, paths...), " ")
	s.write(text + "\n")
	return truth(ok)
}

// all are all lines, as many as are kept.
func (s *state) all(name string, paths []string) (lines []string, code int) {
	bytes := 0
	code = s.lines(name, paths, func(line string) bool {
		lines = append(lines, line)
		bytes += len(line) + 1
		return bytes < mostBytes
	})
	return lines, code
}

func (s *state) sort(args []string) int {
	flags, paths := flagsOf(args)
	lines, code := s.all("sort", paths)
	slices.SortStableFunc(lines, func(a, b string) int {
		if strings.Contains(flags, "n") {
			x, _ := strconv.ParseFloat(strings.Fields(a + " 0")[0], 64)
			y, _ := strconv.ParseFloat(strings.Fields(b + " 0")[0], 64)
			if x != y {
				return map[bool]int{true: -1, false: 1}[x < y]
			}
		}
		return strings.Compare(a, b)
	})
	if strings.Contains(flags, "r") {
		slices.Reverse(lines)
	}
	if strings.Contains(flags, "u") {
		lines = slices.Compact(lines)
	}
	for _, l := range lines {
		fmt.Fprintln(s.out, l)
	}
	return code
}

func (s *state) uniq(args []string) int {
	flags, paths := flagsOf(args)
	last, n := "", 0
	flush := func() {
		switch {
		case n == 0 || strings.Contains(flags, "d") && n < 2:
		case strings.Contains(flags, "c"):
			fmt.Fprintf(s.out, "%7d %s\n", n, last)
		default:
			fmt.Fprintln(s.out, last)
		}
	}
	code := s.lines("uniq", paths, func(line string) bool {
		if n > 0 && line != last {
			flush()
			n = 0
		}
		last = line
		n++
		return true
	})
	flush()
	return code
}

func (s *state) cut(args []string) int {
	delimiter, field, paths := "\t", 0, []string(nil)
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := func() string {
			if len(a) > 2 {
				return a[2:]
			}
			if i+1 < len(args) {
				i++
				return args[i]
			}
			return ""
		}
		switch {
		case strings.HasPrefix(a, "-d"):
			delimiter = value()
		case strings.HasPrefix(a, "-f"):
			field, _ = strconv.Atoi(value())
		default:
			paths = append(paths, a)
		}
	}
	if field < 1 || delimiter == "" {
		return s.fail(1, "usage: cut -d DELIMITER -f N [FILE...]")
	}
	return s.lines("cut", paths, func(line string) bool {
		parts := strings.Split(line, delimiter)
		if len(parts) == 1 {
			return s.write(line+"\n") == 0
		}
		return s.write(append(parts, make([]string, field)...)[field-1]+"\n") == 0
	})
}

// set is the characters that an argument of tr names.
func set(text string) (all []rune) {
	rs := []rune(strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", "[:lower:]", "a-z", "[:upper:]", "A-Z", "[:digit:]", "0-9", "[:space:]", " \t\n").Replace(text))
	for i := 0; i < len(rs); i++ {
		if i+2 < len(rs) && rs[i+1] == '-' && rs[i] <= rs[i+2] && rs[i+2]-rs[i] < 256 {
			for c := rs[i]; c <= rs[i+2]; c++ {
				all = append(all, c)
			}
			i += 2
			continue
		}
		all = append(all, rs[i])
	}
	return all
}

func (s *state) tr(args []string) int {
	flags, sets := flagsOf(args)
	if len(sets) == 0 || len(sets) == 1 && !strings.ContainsAny(flags, "ds") {
		return s.fail(1, "usage: tr [-ds] SET1 [SET2]")
	}
	from := set(sets[0])
	var to []rune
	if len(sets) > 1 {
		to = set(sets[1])
	}
	r := bufio.NewReader(io.LimitReader(s.in, mostBytes))
	var b strings.Builder
	last := rune(-1)
	for {
		c, _, err := r.ReadRune()
		if err != nil {
			break
		}
		i := slices.Index(from, c)
		switch {
		case i >= 0 && strings.Contains(flags, "d"):
			continue
		case i >= 0 && len(to) > 0:
			c = to[min(i, len(to)-1)]
		}
		if i >= 0 && strings.Contains(flags, "s") && c == last {
			continue
		}
		last = c
		b.WriteRune(c)
	}
	return s.write(b.String())
}
