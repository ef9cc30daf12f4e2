package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// codePrefix begins every code of an error.
const codePrefix = "E-"

// codeText is what is to be said of a code. The three texts are sentences
// without the full stop, the first without a capital.
type codeText struct {
	code  string
	means string
	cause string
	do    string
}

// area is the middle of a code.
func (k codeText) area() string {
	area, _, _ := strings.Cut(strings.TrimPrefix(k.code, codePrefix), "-")
	return area
}

// areas are the middles of the codes, each with what it is about.
var areas = map[string]string{
	"API":    "The Kubernetes API",
	"CLI":    "The command line, and how it reaches a cluster",
	"EVT":    "One event",
	"GATE":   "Requests to a running instance",
	"LOG":    "The log as a whole",
	"MAN":    "Manifests",
	"STORE":  "The data directory",
	"STREAM": "The JetStream stream of a log",
	"UP":     "Rollouts of up --once",
	"VERIFY": "Deciding again",
}

// codes returns every code that the program can print, in order.
func codes() []codeText {
	all := slices.Concat(cliCodes, logCodes, gateCodes, manifestCodes)
	slices.SortFunc(all, func(a, b codeText) int { return cmp.Compare(a.code, b.code) })
	return all
}

// codesPage returns docs/CODES.md.
func codesPage() string {
	var b strings.Builder
	b.WriteString(`# Codes

What rollcall refuses, or fails at, is one line on standard error:

    error: CODE: what is wrong (where): why; what to do

Codes stay what they are: programs may act on them. The exit code is that of a
class, as ` + "`rollcall help exit-codes`" + ` tells; ` + "`rollcall help CODE`" + ` prints what is here.

This file is generated: go test ./cmd/rollcall -run TestCodesPage -rewrite
`)
	area := ""
	for _, k := range codes() {
		if a := k.area(); a != area {
			area = a
			fmt.Fprintf(&b, "\n## %s\n\n| code | what it means | what causes it | what to do |\n|---|---|---|---|\n", areas[a])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.code, k.means, cell(k.cause), cell(k.do))
	}
	return b.String()
}

// cell writes a text into a table of Markdown.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
