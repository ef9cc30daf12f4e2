package manifest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"

	"rollcall/events"
)

// wrong refuses a value of another type than the field has.
func (p *parser) wrong(n *yaml.Node, path, want string) error {
	code := classOf(path).code
	if code != "E-MAN-STRATEGY" && code != "E-MAN-BUDGET" && code != "E-MAN-SELECTOR" {
		code = "E-MAN-TYPE"
	}
	if want == wantInt && code == "E-MAN-TYPE" {
		code = "E-MAN-NUMBER"
	}
	e := &events.Error{What: "the value is " + describe(n) + ", not " + want, Do: "write " + want}
	if code != "E-MAN-TYPE" && code != "E-MAN-NUMBER" {
		e.Do = classOf(path).do
	}
	if n.Kind == yaml.ScalarNode && want == "a string" {
		e.Why = fmt.Sprintf("%s is %s in YAML", shown(n.Value), scalarOf(n))
		e.Do = "quote it: " + strconv.Quote(n.Value)
		if n.Value == "" {
			e.Why, e.Do = "it is empty", "give it a value"
		}
	}
	return p.refuse(n, code, path, e)
}

// wantInt names an integer in a refusal.
const wantInt = "a whole number"

func (p *parser) string(n *yaml.Node, path string) error {
	if n.Kind != yaml.ScalarNode {
		return p.wrong(n, path, "a string")
	}
	switch s := scalarOf(n); {
	case s == scalarString:
	// A plain date is text for Kubernetes, but what is named so was meant
	// otherwise by some reader or other.
	case s == scalarDate && !strings.HasSuffix(path, ".name"):
	default:
		return p.wrong(n, path, "a string")
	}
	p.quote(n.Value)
	return nil
}

func (p *parser) bool(n *yaml.Node, path string) error {
	v, ok := boolOf(n.Value)
	if n.Kind != yaml.ScalarNode || scalarOf(n) != scalarBool || !ok {
		return p.wrong(n, path, "true or false")
	}
	p.json = strconv.AppendBool(p.json, v)
	return nil
}

func (p *parser) int(n *yaml.Node, bits int, path string) error {
	if n.Kind != yaml.ScalarNode || scalarOf(n) != scalarInt {
		return p.wrong(n, path, wantInt)
	}
	v, ok := intOf(n.Value)
	if !ok || !fitsBits(v, bits) {
		return p.outside(n, path, bits)
	}
	p.json = strconv.AppendInt(p.json, v, 10)
	return nil
}

// outside refuses a number that the field's type cannot hold.
func (p *parser) outside(n *yaml.Node, path string, bits int) error {
	code := classOf(path).code
	if code != "E-MAN-BUDGET" {
		code = "E-MAN-NUMBER"
	}
	most := int64(math.MaxInt64)
	if bits == 32 {
		most = math.MaxInt32
	}
	return p.refuse(n, code, path, &events.Error{What: "the number " + n.Value + " is out of range",
		Why: fmt.Sprintf("it exceeds %d", most), Do: "use a smaller number"})
}

func (p *parser) intOrString(n *yaml.Node, path string) error {
	if n.Kind == yaml.ScalarNode {
		switch scalarOf(n) {
		case scalarInt:
			return p.int(n, 32, path)
		case scalarString:
			p.quote(n.Value)
			return nil
		}
	}
	return p.wrong(n, path, "a whole number or a string")
}

func (p *parser) quantity(n *yaml.Node, path string) error {
	s := scalarString
	if n.Kind == yaml.ScalarNode {
		s = scalarOf(n)
	}
	if n.Kind != yaml.ScalarNode || s == scalarBool || s == scalarDate {
		return p.wrong(n, path, "a quantity")
	}
	value := n.Value
	if s == scalarInt {
		if v, ok := intOf(value); ok {
			value = strconv.FormatInt(v, 10)
		}
	}
	if _, err := resource.ParseQuantity(value); err != nil {
		code := classOf(path).code
		if code == "E-MAN-FIELD" {
			code = "E-MAN-RESOURCE"
		}
		return p.refuse(n, code, path, &events.Error{What: "invalid quantity " + shown(n.Value),
			Why: "a quantity is a number with one of the suffixes n u m k M G T P E Ki Mi Gi Ti Pi Ei, or none",
			Do:  "write it such as 100m, 0.5 or 200Mi"})
	}
	p.quote(value)
	return nil
}

func (p *parser) time(n *yaml.Node, path string) error {
	if n.Kind != yaml.ScalarNode {
		return p.wrong(n, path, "a time")
	}
	if _, err := time.Parse(time.RFC3339, n.Value); err != nil {
		return p.refuse(n, "E-MAN-TYPE", path, &events.Error{What: shown(n.Value) + " is not a time",
			Do: "write it such as 2026-01-31T12:00:00Z, or remove it: only the system writes it"})
	}
	p.quote(n.Value)
	return nil
}
