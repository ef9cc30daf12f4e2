package main

import (
	"strings"
	"sync"

	"rollcall/docs"
)

// codePrefix begins every code of an error.
const codePrefix = "E-"

// codeText is a row of docs.Codes. Its last three texts are sentences without the
// full stop, the first of them without a capital.
type codeText struct {
	part  string // of the program: the heading over the table
	code  string
	means string
	cause string
	do    string
}

// codes returns every code that the program can print, in order.
var codes = sync.OnceValue(func() (all []codeText) {
	part := ""
	for line := range strings.Lines(docs.Codes) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			part = heading
		}
		if row, ok := strings.CutPrefix(line, "| `"+codePrefix); ok {
			cells := strings.Split(strings.TrimSuffix(row, " |"), " | ")
			all = append(all, codeText{part, codePrefix + strings.TrimSuffix(cells[0], "`"), cells[1], cells[2], cells[3]})
		}
	}
	return all
})
