package page

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// inBundle is what stands in a bundle in the place of what asks a server.
//
//go:embed bundle
var inBundle embed.FS

// What a module says at the begin of a line of others and of itself. No other form
// is known, and one that is used is an error.
var (
	importNames = regexp.MustCompile(`(?m)^import \{([^}]*)\} from "(\.[^"]+)";$`)
	importAll   = regexp.MustCompile(`(?m)^import \* as (\w+) from "(\.[^"]+)";$`)
	exported    = regexp.MustCompile(`(?m)^export (async function|function|class|const) (\w+)`)
	unknownForm = regexp.MustCompile(`(?m)^\s*(import|export)\b.*$|\bimport\(`)
	comment     = regexp.MustCompile(`(?s)/\*.*?\*/`)
	renamed     = regexp.MustCompile(`(\w+) as (\w+)`)
)

// script is all modules of the page in one, for where none can be loaded.
type script struct {
	out  strings.Builder
	done map[string]string // name in the script, by path; empty: it is being added
	n    int               // that have been added
}

// bundled returns the modules of the page as one script, with those of a bundle in
// their places.
func bundled() (string, error) {
	s := &script{done: map[string]string{}}
	s.out.WriteString("\"use strict\";\n")
	_, err := s.add("web/app.js")
	return s.out.String(), err
}

// source returns a module.
func source(file string) ([]byte, error) {
	if file == "web/lib/api.js" {
		return fs.ReadFile(inBundle, "bundle/api.js")
	}
	return fs.ReadFile(web, file)
}

// add adds a module after those that it needs, and returns its name.
func (s *script) add(file string) (name string, err error) {
	if name, known := s.done[file]; known {
		if name == "" {
			return "", fmt.Errorf("%s needs itself", file)
		}
		return name, nil
	}
	s.done[file] = ""
	b, err := source(file)
	if err != nil {
		return "", err
	}
	text := string(b)
	for _, form := range []*regexp.Regexp{importNames, importAll} {
		text = form.ReplaceAllStringFunc(text, func(line string) string {
			m := form.FindStringSubmatch(line)
			needs, failed := s.add(path.Join(path.Dir(file), m[2]))
			if failed != nil && err == nil {
				err = failed
			}
			if form == importAll {
				return "const " + m[1] + " = " + needs + ";"
			}
			return "const {" + renamed.ReplaceAllString(m[1], "$1: $2") + "} = " + needs + ";"
		})
	}
	if err != nil {
		return "", err
	}
	var names []string
	for _, m := range exported.FindAllStringSubmatch(text, -1) {
		names = append(names, m[2])
	}
	text = exported.ReplaceAllString(text, "$1 $2")
	if m := unknownForm.FindString(comment.ReplaceAllString(text, "")); m != "" {
		return "", fmt.Errorf("%s: %q is no form of a module that a bundle can have", file, m)
	}
	if strings.Contains(text, "</script") || strings.Contains(text, "<!--") {
		return "", fmt.Errorf("%s: a script cannot stand in a page with that", file)
	}
	s.n++
	name = fmt.Sprintf("module%d", s.n)
	s.done[file] = name
	fmt.Fprintf(&s.out, "const %s = (() => { // %s\n%s\nreturn { %s };\n})();\n", name, strings.TrimPrefix(file, "web/"), text, strings.Join(names, ", "))
	return name, nil
}
