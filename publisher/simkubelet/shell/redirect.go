package shell

import (
	"fmt"
	"io"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// redirect opens what a statement reads and writes; close ends that.
func (s *state) redirect(rs []*syntax.Redirect) (close func() error, ok bool) {
	var opened []*file
	close = func() (err error) {
		for _, f := range opened {
			if e := f.Close(); e != nil {
				err = e
			}
		}
		return err
	}
	for _, r := range rs {
		f, err := s.open(r)
		if err != nil {
			s.last = s.fail(1, "sh: %v", err)
			return close, false
		}
		if f != nil {
			opened = append(opened, f)
		}
	}
	return close, true
}

// open carries out one redirection.
func (s *state) open(r *syntax.Redirect) (*file, error) {
	fd := "1"
	switch r.Op {
	case syntax.RdrIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		fd = "0"
	}
	if r.N != nil {
		fd = r.N.Value
	}
	if r.Op == syntax.Hdoc || r.Op == syntax.DashHdoc {
		text, err := expand.Document(s.config(), r.Hdoc)
		s.in = strings.NewReader(text)
		return nil, err
	}
	word, err := expand.Literal(s.config(), r.Word)
	if err != nil {
		return nil, err
	}
	switch r.Op {
	case syntax.WordHdoc:
		s.in = strings.NewReader(word + "\n")
	case syntax.DplOut:
		return nil, s.duplicate(fd, word)
	case syntax.RdrIn:
		data, err := s.container.Files.Read(s.path(word))
		if err != nil {
			return nil, fmt.Errorf("can't open %s: %w", word, err)
		}
		s.in = strings.NewReader(string(data))
	case syntax.RdrOut, syntax.RdrClob, syntax.AppOut, syntax.RdrAll, syntax.AppAll:
		return s.output(r.Op, fd, word)
	default:
		return nil, fmt.Errorf("%s does not work in a simulated container", r.Op)
	}
	return nil, nil
}

// duplicate makes one output go where another goes.
func (s *state) duplicate(fd, to string) error {
	switch {
	case fd == "2" && to == "1":
		s.err = s.out
	case fd == "1" && to == "2":
		s.out = s.err
	case to != fd:
		return fmt.Errorf("%s>&%s does not work in a simulated container", fd, to)
	}
	return nil
}

// output opens a file to be written.
func (s *state) output(op syntax.RedirOperator, fd, word string) (*file, error) {
	var w io.Writer
	var f *file
	switch path := s.path(word); path {
	case "/dev/null":
		w = io.Discard
	case "/dev/stdout", "/proc/1/fd/1", "/proc/self/fd/1", "/dev/tty":
		w = s.out
	case "/dev/stderr", "/proc/1/fd/2", "/proc/self/fd/2":
		w = s.err
	default:
		var err error
		if f, err = s.container.Files.create(path, op == syntax.AppOut || op == syntax.AppAll); err != nil {
			return nil, fmt.Errorf("can't create %s: %w", word, err)
		}
		w = f
	}
	if op == syntax.RdrAll || op == syntax.AppAll {
		s.out, s.err = w, w
		return f, nil
	}
	if fd == "2" {
		s.err = w
	} else {
		s.out = w
	}
	return f, nil
}
