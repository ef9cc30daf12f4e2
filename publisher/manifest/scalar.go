package manifest

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is what a scalar means by the rules of YAML 1.1, which Kubernetes
// follows: there, no is a boolean and 0777 is 511.
type scalar int

const (
	scalarString scalar = iota
	scalarNull
	scalarBool
	scalarInt
	scalarFloat
	scalarDate
)

func (s scalar) String() string {
	return [...]string{"a string", "nothing", "a boolean", "a number", "a number", "a date"}[s]
}

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

var (
	floatText = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	dateText  = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?$`)
)

// scalarOf returns what a scalar node means.
func scalarOf(n *yaml.Node) scalar {
	if n.Style&quoted != 0 {
		return scalarString
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return scalarNull
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return scalarFloat
	}
	if _, ok := boolOf(n.Value); ok {
		return scalarBool
	}
	if isInt(n.Value) {
		return scalarInt
	}
	if floatText.MatchString(strings.ReplaceAll(n.Value, "_", "")) {
		return scalarFloat
	}
	if dateText.MatchString(n.Value) {
		return scalarDate
	}
	return scalarString
}

func boolOf(s string) (value, ok bool) {
	switch s {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON":
		return true, true
	case "false", "False", "FALSE", "no", "No", "NO", "n", "N", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

var intText = regexp.MustCompile(`^[-+]?(0|[1-9][0-9_]*|0[0-7_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+)$`)

func isInt(s string) bool { return intText.MatchString(s) }

// intOf returns the value of a text that isInt accepts; ok is false if it
// needs more than 64 bits.
func intOf(s string) (n int64, ok bool) {
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 0, 64)
	return n, err == nil
}

// describe says what a node is, for a refusal.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	s := scalarOf(n)
	if s == scalarNull {
		return "empty"
	}
	return fmt.Sprintf("%s (%s)", s, shown(n.Value))
}

func shown(s string) string {
	if r := []rune(s); len(r) > maxShown {
		s = string(r[:maxShown]) + "..."
	}
	return strconv.Quote(s)
}

// fitsBits reports whether n is in the range of a signed integer of that size.
func fitsBits(n int64, bits int) bool {
	return bits == 64 || n <= math.MaxInt32 && n >= math.MinInt32
}
