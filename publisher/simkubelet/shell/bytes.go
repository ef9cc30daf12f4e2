package shell

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Commands about bytes.

func (s *state) tee(args []string) int {
	flags, paths := flagsOf(args)
	w := []io.Writer{s.out}
	var files []*file
	for _, p := range paths {
		f, err := s.container.Files.create(s.path(p), strings.Contains(flags, "a"))
		if err != nil {
			return s.fail(1, "tee: %s: %v", p, err)
		}
		w, files = append(w, f), append(files, f)
	}
	_, err := io.Copy(io.MultiWriter(w...), s.in)
	for _, f := range files {
		if e := f.Close(); e != nil {
			err = e
		}
	}
	if err != nil {
		return s.fail(1, "tee: %v", err)
	}
	return 0
}

func (s *state) base64(args []string) int {
	flags, paths := flagsOf(args)
	ins, ok := s.inputs("base64", paths)
	data, err := io.ReadAll(io.LimitReader(io.MultiReader(ins...), mostBytes))
	if err != nil || !ok {
		return 1
	}
	if !strings.ContainsAny(flags, "dD") {
		return s.write(base64.StdEncoding.EncodeToString(data) + "\n")
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(data)), ""))
	if err != nil {
		return s.fail(1, "base64: invalid input")
	}
	return s.write(string(text))
}

// sum is md5sum and sha256sum.
func (s *state) sum(args []string) int {
	_, paths := flagsOf(args[1:])
	ins, ok := s.inputs(args[0], paths)
	for i, in := range ins {
		h := md5.New()
		if args[0] == "sha256sum" {
			h = sha256.New()
		}
		if _, err := io.Copy(h, in); err != nil {
			return s.fail(1, "%s: %v", args[0], err)
		}
		fmt.Fprintf(s.out, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), append(paths, "-")[i])
	}
	return truth(ok)
}
