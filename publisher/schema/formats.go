package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// format is what a text has to be.
type format struct {
	expected string             // what it is, for people
	check    func(string) error // nil: it is so
	mean     func(string) []string
}

// formats are those that the schemas name. A hint is the first of what may have
// been meant that passes the check.
var formats = map[string]format{
	"quantity":           {`a quantity such as "4", "500m" or "8Gi"`, checkQuantity, meanQuantity},
	"label-name":         {"a label name such as zone or example.com/zone", all(validation.IsQualifiedName), meanName},
	"label-value":        {"a label value: at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit", all(validation.IsValidLabelValue), meanValue},
	"label-selector":     {`a label selector such as "app=agent,tier!=test"`, checkSelector, nil},
	"dns-1123-label":     {"a DNS-1123 label: at most 63 lower-case letters, digits and -", all(validation.IsDNS1123Label), meanName},
	"dns-1123-subdomain": {"a DNS-1123 name: lower-case letters, digits, - and .", all(validation.IsDNS1123Subdomain), meanName},
	"daemonset":          {"NAMESPACE/NAME of a DaemonSet", checkDaemonSet, meanName},
	"object":             {"node/NAME, pod/NAMESPACE/NAME or ds/NAMESPACE/NAME", checkObject, meanName},
	"ip":                 {"an IP address", checkIP, nil},
	"int32":              {"an integer of 32 bits, written as digits", checkInt32, meanInt},
	"date-time":          {"an RFC 3339 time", checkTime, meanTime},
	"uuid":               {"a uid such as 6b5ca1c0-2f4e-5f0a-9d3e-0c6a5d1e7b42", checkUID, meanName},
}

// register has a compiler know the formats.
func register(c *jsonschema.Compiler, name string, f format) {
	c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
		switch v := v.(type) {
		case string:
			return f.check(v)
		case json.Number:
			if name == "quantity" || name == "int32" {
				return f.check(v.String())
			}
		}
		return nil
	}})
}

func all(check func(string) []string) func(string) error {
	return func(s string) error {
		if why := check(s); len(why) > 0 {
			return errors.New(why[0])
		}
		return nil
	}
}

func checkQuantity(s string) error {
	q, err := resource.ParseQuantity(s)
	if err == nil && q.Sign() < 0 {
		err = errors.New("it is negative")
	}
	return err
}

func checkSelector(s string) error {
	_, err := labels.Parse(s)
	return err
}

func checkDaemonSet(s string) error {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok {
		return errors.New("there is no / in it")
	}
	return errors.Join(all(validation.IsDNS1123Label)(namespace), all(validation.IsDNS1123Subdomain)(name))
}

// namespaced says of the kinds that a subject can name whether their objects are
// in namespaces.
var namespaced = map[string]bool{"node": false, "pod": true, "ds": true}

func checkObject(s string) error {
	kind, rest, _ := strings.Cut(s, "/")
	in, known := namespaced[kind]
	switch {
	case !known:
		return fmt.Errorf("%q is no kind here", kind)
	case in:
		return checkDaemonSet(rest)
	}
	return all(validation.IsDNS1123Subdomain)(rest)
}

func checkIP(s string) error {
	if s == "" {
		return nil
	}
	_, err := netip.ParseAddr(s)
	return err
}

func checkInt32(s string) error {
	if s == "-0" {
		return errors.New("it has a sign and is 0")
	}
	_, err := strconv.ParseInt(s, 10, 32)
	return err
}

var strictTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

func checkTime(s string) error {
	t, err := time.Parse(time.RFC3339Nano, s)
	switch {
	case err != nil:
		return errors.New("it is none")
	case !strictTime.MatchString(s) || t.Year() < 1970:
		return errors.New("it is none from 1970 on")
	}
	return nil
}

var uid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func checkUID(s string) error {
	if !uid.MatchString(s) || strings.Trim(s, "0-") == "" {
		return errors.New("it is none")
	}
	return nil
}

var amount = regexp.MustCompile(`^\s*\+?(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)`)

// meanQuantity reads "4 cores", "8 GB" and "16gi".
func meanQuantity(s string) []string {
	m := amount.FindStringSubmatch(s)
	if m == nil {
		return nil
	}
	number, unit := m[1], strings.ToLower(m[2])
	var found []string
	for _, u := range []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"} {
		if unit == strings.ToLower(u) || unit == strings.ToLower(u)+"b" {
			found = append(found, number+u)
		}
	}
	for _, u := range []string{"k", "M", "G", "T", "P", "E"} {
		if unit == strings.ToLower(u) || unit == strings.ToLower(u)+"b" {
			found = append(found, number+u)
		}
	}
	switch {
	case strings.HasPrefix(unit, "milli"):
		found = append(found, number+"m")
	case len(found) == 0:
		found = append(found, number)
	}
	return found
}

var unfit = regexp.MustCompile(`[^a-z0-9./-]+`)

func meanName(s string) []string {
	low := strings.ToLower(strings.TrimSpace(s))
	return []string{low, strings.Trim(unfit.ReplaceAllString(low, "-"), "-."), strings.Trim(strings.ReplaceAll(unfit.ReplaceAllString(low, "-"), "/", "-"), "-.")}
}

var unfitValue = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func meanValue(s string) []string {
	v := strings.Trim(unfitValue.ReplaceAllString(s, "_"), "-._")
	return []string{v, strings.TrimRight(v[:min(len(v), validation.LabelValueMaxLength)], "-._")}
}

func meanInt(s string) []string {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return []string{strconv.FormatFloat(f+0, 'f', -1, 64)}
}

// meanTime reads what programs write that do not write RFC 3339.
func meanTime(s string) []string {
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z0700",
		"2006-01-02T15:04Z07:00", "2006-01-02", time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC, time.UnixDate} {
		if t, err := time.Parse(layout, s); err == nil {
			return []string{t.UTC().Format(time.RFC3339Nano)}
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || n < 1e8 || n > 1e14:
		return nil
	case n >= 1e11: // milliseconds
		n /= 1000
	}
	return []string{time.Unix(int64(n), 0).UTC().Format(time.RFC3339)}
}
