package shell

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Commands that tell where they run.

func (s *state) hostname(args []string) int {
	c := s.container
	switch {
	case len(args) == 0:
		fmt.Fprintln(s.out, c.Pod)
	case args[0] == "-f" || args[0] == "--fqdn":
		if c.FQDN == "" {
			fmt.Fprintln(s.out, c.Pod)
			return 0
		}
		fmt.Fprintln(s.out, c.FQDN)
	case args[0] == "-d":
		_, domain, _ := strings.Cut(c.FQDN, ".")
		fmt.Fprintln(s.out, domain)
	case args[0] == "-i" || args[0] == "-I":
		fmt.Fprintln(s.out, c.IP)
	case args[0] == "-s":
		fmt.Fprintln(s.out, c.Pod)
	default:
		return s.fail(1, "hostname: you cannot change the host name")
	}
	return 0
}

// formats are the verbs of date, as Go writes them.
var formats = strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05", "%y", "06", "%F", "2006-01-02", "%T", "15:04:05",
	"%Z", "MST", "%z", "-0700", "%a", "Mon", "%b", "Jan", "%e", "_2", "%N", "000000000", "%A", "Monday", "%B", "January", "%p", "PM", "%I", "03")

func (s *state) date(args []string) int {
	now := s.container.Now().UTC()
	layout := "Mon Jan _2 15:04:05 MST 2006"
	for _, a := range args {
		switch {
		case strings.HasPrefix(a, "+"):
			text := strings.ReplaceAll(a[1:], "%s", "\x00")
			text = now.Format(formats.Replace(text))
			return s.write(strings.ReplaceAll(text, "\x00", strconv.FormatInt(now.Unix(), 10)) + "\n")
		case a == "-R":
			layout = time.RFC1123Z
		case strings.HasPrefix(a, "-I") || a == "--iso-8601=seconds":
			layout = time.RFC3339
		case a != "-u":
			return s.fail(1, "date: the time of a simulated container is that of its cluster")
		}
	}
	return s.write(now.Format(layout) + "\n")
}

func (s *state) id(args []string) int {
	return s.write(s.container.As.Text(strings.Join(args, "")) + "\n")
}

func (s *state) whoami([]string) int { return s.write(s.container.As.Name() + "\n") }

// ps tells of the one process that is said to run.
func (s *state) ps([]string) int {
	command := strings.Join(s.container.Command, " ")
	if command == "" {
		command = "[" + s.container.Image + ", simulated]"
	}
	return s.write("PID   USER     TIME  COMMAND\n" + fmt.Sprintf("    1 %-8s  0:00 %s\n   42 %-8s  0:00 sh\n", s.container.As.Name(), command, s.container.As.Name()))
}

func (s *state) uname(args []string) int {
	if len(args) == 0 {
		return s.write("Linux\n")
	}
	if args[0] == "-n" {
		return s.write(s.container.Pod + "\n")
	}
	if args[0] == "-a" {
		return s.write("Linux " + s.container.Pod + " simulated x86_64\n")
	}
	return s.write(map[string]string{"-s": "Linux", "-m": "x86_64", "-r": "simulated"}[args[0]] + "\n")
}

func (s *state) uptime([]string) int {
	now := s.container.Now()
	return s.write(fmt.Sprintf(" %s up %s\n", now.UTC().Format("15:04:05"), now.Sub(s.container.Started).Truncate(time.Second)))
}

func (s *state) kill(args []string) int {
	return s.fail(1, "kill: no process runs in a simulated container; kubectl delete pod %s ends it", s.container.Pod)
}

func (s *state) noPackets(args []string) int {
	return s.fail(1, "%s: no packets are sent in a simulated container; nslookup, wget and curl know the names of the cluster", args[0])
}

func (s *state) seq(args []string) int {
	from, step, to := 1.0, 1.0, 0.0
	var ns []float64
	for _, a := range args {
		n, err := strconv.ParseFloat(a, 64)
		if err != nil {
			return s.fail(1, "seq: invalid number '%s'", a)
		}
		ns = append(ns, n)
	}
	switch len(ns) {
	case 1:
		to = ns[0]
	case 2:
		from, to = ns[0], ns[1]
	case 3:
		from, step, to = ns[0], ns[1], ns[2]
	default:
		return s.fail(1, "usage: seq [FIRST [STEP]] LAST")
	}
	for n := from; step > 0 && n <= to || step < 0 && n >= to; n += step {
		if code := s.write(strconv.FormatFloat(n, 'f', -1, 64) + "\n"); code != 0 || !s.step() {
			return code
		}
	}
	return 0
}

func (s *state) yes(args []string) int {
	text := strings.Join(args, " ")
	if text == "" {
		text = "y"
	}
	for s.step() {
		if code := s.write(text + "\n"); code != 0 {
			return code
		}
	}
	return codeKilled
}

func (s *state) basename(args []string) int {
	if len(args) == 0 {
		return s.fail(1, "usage: basename PATH [SUFFIX]")
	}
	name := base(strings.TrimRight(args[0], "/"))
	if len(args) > 1 && name != args[1] {
		name = strings.TrimSuffix(name, args[1])
	}
	return s.write(name + "\n")
}

func (s *state) dirname(args []string) int {
	if len(args) == 0 {
		return s.fail(1, "usage: dirname PATH")
	}
	i := strings.LastIndexByte(strings.TrimRight(args[0], "/"), '/')
	switch {
	case i < 0:
		return s.write(".\n")
	case i == 0:
		return s.write("/\n")
	}
	return s.write(args[0][:i] + "\n")
}
