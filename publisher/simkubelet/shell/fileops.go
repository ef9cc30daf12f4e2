package shell

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Commands about files.

// flagsOf splits arguments into letters of flags and the rest.
func flagsOf(args []string) (flags string, rest []string) {
	for i, a := range args {
		switch {
		case a == "--":
			return flags, append(rest, args[i+1:]...)
		case len(a) > 1 && a[0] == '-' && a[1] != '-':
			flags += a[1:]
		case strings.HasPrefix(a, "--"):
		default:
			rest = append(rest, a)
		}
	}
	return flags, rest
}

func (s *state) pwd([]string) int { return s.write(s.dir + "\n") }

func (s *state) cd(args []string) int {
	to := s.vars["HOME"].value
	if len(args) > 0 {
		to = args[0]
	}
	if to == "-" {
		to = s.vars["OLDPWD"].value
	}
	i, err := s.container.Files.Stat(s.path(to))
	if err == nil && !i.IsDir() {
		err = errNoDir
	}
	if err != nil && to != "/root" {
		return s.fail(1, "sh: cd: can't cd to %s: %v", to, err)
	}
	old := s.dir
	s.dir = s.path(to)
	_ = s.set("OLDPWD", old)
	_ = s.set("PWD", s.dir)
	return 0
}

func (s *state) ls(args []string) int {
	flags, paths := flagsOf(args)
	if len(paths) == 0 {
		paths = []string{"."}
	}
	code := 0
	for n, p := range paths {
		i, err := s.container.Files.Stat(s.path(p))
		if err != nil {
			code = s.fail(1, "ls: %s: %v", p, err)
			continue
		}
		list := []fs.FileInfo{i}
		if i.IsDir() && !strings.Contains(flags, "d") {
			if list, err = s.container.Files.List(s.path(p)); err != nil {
				code = s.fail(1, "ls: %s: %v", p, err)
				continue
			}
			if len(paths) > 1 {
				if n > 0 {
					fmt.Fprintln(s.out)
				}
				fmt.Fprintf(s.out, "%s:\n", p)
			}
		}
		for _, e := range list {
			name := e.Name()
			if !i.IsDir() || strings.Contains(flags, "d") {
				name = p
			}
			s.entry(flags, name, e)
		}
	}
	return code
}

// entry writes one line of ls.
func (s *state) entry(flags, name string, e fs.FileInfo) {
	switch {
	case strings.HasPrefix(name, ".") && name != "." && !strings.ContainsAny(flags, "aA") && !strings.Contains(name, "/"):
	case strings.Contains(flags, "l"):
		mode := e.Mode()
		if !e.IsDir() && mode == 0 {
			mode = 0o644
		}
		fmt.Fprintf(s.out, "%s    1 root     root     %9d %s %s\n", mode, e.Size(), e.ModTime().UTC().Format("Jan _2 15:04"), name)
	default:
		fmt.Fprintln(s.out, name)
	}
}

func (s *state) stat(args []string) int {
	for _, p := range args {
		i, err := s.container.Files.Stat(s.path(p))
		if err != nil {
			return s.fail(1, "stat: can't stat '%s': %v", p, err)
		}
		fmt.Fprintf(s.out, "  File: %s\n  Size: %d\n  Mode: %s\n  Modify: %s\n", p, i.Size(), i.Mode(), i.ModTime().UTC())
	}
	return 0
}

func (s *state) touch(args []string) int {
	_, paths := flagsOf(args)
	for _, p := range paths {
		data, err := s.container.Files.Read(s.path(p))
		if err == errDirectory {
			continue
		}
		if err := s.container.Files.Write(s.path(p), data, 0o644); err != nil {
			return s.fail(1, "touch: %s: %v", p, err)
		}
	}
	return 0
}

func (s *state) mkdir(args []string) int {
	flags, paths := flagsOf(args)
	for _, p := range paths {
		if err := s.container.Files.Mkdir(s.path(p), strings.Contains(flags, "p")); err != nil {
			return s.fail(1, "mkdir: can't create directory '%s': %v", p, err)
		}
	}
	return 0
}

func (s *state) rm(args []string) int {
	flags, paths := flagsOf(args)
	code := 0
	for _, p := range paths {
		i, err := s.container.Files.Stat(s.path(p))
		switch {
		case err != nil && strings.Contains(flags, "f"):
			continue
		case err == nil && i.IsDir() && !strings.ContainsAny(flags, "rR"):
			err = errDirectory
		case err == nil:
			err = s.container.Files.Remove(s.path(p))
		}
		if err != nil {
			code = s.fail(1, "rm: can't remove '%s': %v", p, err)
		}
	}
	return code
}

func (s *state) cp(args []string) int { return s.transfer("cp", args, false) }
func (s *state) mv(args []string) int { return s.transfer("mv", args, true) }

// transfer copies files, and takes them away where they were.
func (s *state) transfer(name string, args []string, away bool) int {
	flags, paths := flagsOf(args)
	if len(paths) < 2 {
		return s.fail(codeUsage, "usage: %s FROM... TO", name)
	}
	to := s.path(paths[len(paths)-1])
	into, err := s.container.Files.Stat(to)
	isDir := err == nil && into.IsDir()
	for _, p := range paths[:len(paths)-1] {
		from, target := s.path(p), to
		if isDir {
			target = to + "/" + base(from)
		}
		if err := s.copyAll(from, clean(target), away || strings.ContainsAny(flags, "rRa")); err != nil {
			return s.fail(1, "%s: %s: %v", name, p, err)
		}
		if away {
			if err := s.container.Files.Remove(from); err != nil {
				return s.fail(1, "%s: %s: %v", name, p, err)
			}
		}
	}
	return 0
}

// copyAll copies a file, or a directory with what is in it.
func (s *state) copyAll(from, to string, deep bool) error {
	files := s.container.Files
	i, err := files.Stat(from)
	switch {
	case err != nil:
		return err
	case !i.IsDir():
		data, err := files.Read(from)
		if err != nil {
			return err
		}
		return files.Write(to, data, i.Mode())
	case !deep:
		return errDirectory
	case to == from || strings.HasPrefix(to, from+"/"):
		return fmt.Errorf("into itself")
	}
	if err := files.Mkdir(to, true); err != nil {
		return err
	}
	list, err := files.List(from)
	for _, e := range list {
		if err == nil {
			err = s.copyAll(clean(from+"/"+e.Name()), to+"/"+e.Name(), deep)
		}
	}
	return err
}

// each calls visit with all that is below a path, itself first.
func (s *state) each(path string, visit func(path string, i fs.FileInfo)) {
	i, err := s.container.Files.Stat(path)
	if err != nil || !s.step() {
		return
	}
	visit(path, i)
	if !i.IsDir() {
		return
	}
	list, _ := s.container.Files.List(path)
	for _, e := range list {
		s.each(clean(path+"/"+e.Name()), visit)
	}
}

func (s *state) find(args []string) int {
	from := "."
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		from, args = args[0], args[1:]
	}
	name, kind := "*", ""
	for len(args) > 1 {
		switch args[0] {
		case "-name":
			name = args[1]
		case "-type":
			kind = args[1]
		default:
			return s.fail(1, "find: %s is not known in a simulated container", args[0])
		}
		args = args[2:]
	}
	root := s.path(from)
	if _, err := s.container.Files.Stat(root); err != nil {
		return s.fail(1, "find: %s: %v", from, err)
	}
	s.each(root, func(path string, i fs.FileInfo) {
		if matchPattern(name, base(path)) && (kind == "" || (kind == "d") == i.IsDir()) {
			fmt.Fprintln(s.out, strings.TrimSuffix(from, "/")+strings.TrimPrefix(path, strings.TrimSuffix(root, "/")))
		}
	})
	return 0
}

func (s *state) du(args []string) int {
	_, paths := flagsOf(args)
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, p := range paths {
		var total int64
		s.each(s.path(p), func(_ string, i fs.FileInfo) { total += i.Size() })
		fmt.Fprintf(s.out, "%d\t%s\n", (total+1023)/1024, p)
	}
	return 0
}

func (s *state) mount([]string) int {
	ms := slices.Clone(s.container.Files.mounts)
	slices.Reverse(ms)
	for _, m := range ms {
		mode := "rw"
		if m.ReadOnly || m.Tree.ReadOnly {
			mode = "ro"
		}
		fmt.Fprintf(s.out, "simulated on %s type memory (%s)\n", clean(m.Path), mode)
	}
	return 0
}

func (s *state) df([]string) int {
	fmt.Fprintln(s.out, "Filesystem           1K-blocks      Used Available Use% Mounted on")
	ms := slices.Clone(s.container.Files.mounts)
	slices.Reverse(ms)
	for _, m := range ms {
		m.Tree.mu.Lock()
		used := (m.Tree.bytes + 1023) / 1024
		m.Tree.mu.Unlock()
		fmt.Fprintf(s.out, "simulated            %9d %9d %9d %3d%% %s\n", treeBytes>>10, used, treeBytes>>10-used, used*100/(treeBytes>>10), clean(m.Path))
	}
	return 0
}
