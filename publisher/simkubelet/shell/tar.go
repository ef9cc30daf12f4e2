package shell

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"strings"
)

// tar is as much of it as kubectl cp needs: tar cf - PATH..., and tar xmf - -C DIR.
func (s *state) tar(args []string) int {
	mode, dir, file := byte(0), s.dir, "-"
	var paths []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-C" && i+1 < len(args):
			i++
			dir = s.path(args[i])
		case strings.HasPrefix(a, "--"):
		case i == 0 || strings.HasPrefix(a, "-") && len(a) > 1:
			for _, f := range strings.TrimPrefix(a, "-") {
				switch f {
				case 'c', 'x', 't':
					mode = byte(f)
				case 'f':
					if i+1 < len(args) {
						i++
						file = args[i]
					}
				case 'z', 'j', 'J':
					return s.fail(1, "tar: nothing is compressed in a simulated container")
				}
			}
		default:
			paths = append(paths, a)
		}
	}
	if file != "-" {
		return s.fail(1, "tar: only archives on standard input and output are known in a simulated container")
	}
	switch mode {
	case 'c':
		return s.archive(dir, paths)
	case 'x':
		return s.extract(dir)
	}
	return s.fail(codeUsage, "usage: tar cf - PATH..., or tar xf - [-C DIR]")
}

func (s *state) archive(dir string, paths []string) int {
	w := tar.NewWriter(s.out)
	code := 0
	for _, p := range paths {
		from := p
		if !strings.HasPrefix(p, "/") {
			from = dir + "/" + p
		}
		if from = clean(from); s.missing(from) {
			code = s.fail(1, "tar: %s: %v", p, errNotThere)
			continue
		}
		s.each(from, func(path string, i fs.FileInfo) {
			name := strings.TrimPrefix(p, "/") + strings.TrimPrefix(path, from)
			h := &tar.Header{Name: name, Mode: int64(i.Mode().Perm()), ModTime: i.ModTime(), Size: i.Size(), Typeflag: tar.TypeReg}
			if i.IsDir() {
				h.Name, h.Size, h.Typeflag = name+"/", 0, tar.TypeDir
			}
			data, _ := s.container.Files.Read(path)
			h.Size = int64(len(data))
			if err := w.WriteHeader(h); err != nil {
				code = 1
				return
			}
			if _, err := w.Write(data); err != nil {
				code = 1
			}
		})
	}
	if err := w.Close(); err != nil {
		code = 1
	}
	return code
}

func (s *state) missing(path string) bool {
	_, err := s.container.Files.Stat(path)
	return err != nil
}

func (s *state) extract(dir string) int {
	r := tar.NewReader(s.in)
	for s.step() {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			return s.fail(1, "tar: %v", err)
		}
		to := clean(dir + "/" + clean("/"+h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			err = s.container.Files.Mkdir(to, true)
		case tar.TypeReg:
			var data []byte
			if data, err = io.ReadAll(io.LimitReader(r, treeBytes+1)); err == nil {
				if s.missing(parent(to)) {
					err = s.container.Files.Mkdir(parent(to), true)
				}
				if err == nil {
					err = s.container.Files.Write(to, data, fs.FileMode(h.Mode).Perm())
				}
			}
		}
		if err != nil {
			return s.fail(1, "tar: %s: %v", h.Name, err)
		}
	}
	return codeKilled
}
