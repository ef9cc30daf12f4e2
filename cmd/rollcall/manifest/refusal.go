package manifest

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// fieldInText are the ways in which the server names a field in a message that
// has no cause with its path: the path, and what is wrong with it.
var fieldInText = []*regexp.Regexp{
	regexp.MustCompile(`(?P<what>unknown field) "(?P<path>[^"]+)"`),
	regexp.MustCompile(`\.(?P<path>(?:metadata|spec|data|[a-z]\w*)[^\s:]*): (?P<what>[^:]*(?:not declared in schema|expected .*))`),
}

// goValue is how the server prints a value of a type that it did not expect.
var goValue = regexp.MustCompile(`&value\.valueUnstructured\{Value:(.*)\}`)

// plain says in plain words what the server says in those of its parts.
var plain = strings.NewReplacer("field not declared in schema", "unknown field", "`selector`", "selector", "`labels`", "labels")

// refused turns the server's refusal of an object into one line with its place
// in the manifest. Another failure is no refusal, and stays what it is.
func (d *Document) refused(err error) error {
	code := codeOf(err)
	if d.exact && code == http.StatusConflict {
		return err
	}
	if code < http.StatusBadRequest || code >= http.StatusInternalServerError && !strings.Contains(err.Error(), "typed patch") || code == http.StatusTooManyRequests {
		return fmt.Errorf("apply %s %s: %w", d.GetKind(), d.GetName(), err)
	}
	var status apierrors.APIStatus
	errors.As(err, &status)
	path, what := fieldOf(status.Status())
	what = plain.Replace(goValue.ReplaceAllString(what, "$1"))
	e := d.refuse(refusalCode(path, what), path, what, "").(*events.Error)
	e.Err = err
	switch e.Code {
	case "E-MAN-IMMUTABLE":
		e.Do = "write the old value again, or delete the object with --cascade=orphan first"
	case "E-MAN-NAMESPACE":
		e.Do = "correct it, or add the Namespace to the manifests"
	}
	if n := len(details(status.Status())) - 1; n > 0 {
		e.Why = fmt.Sprintf("%d more are refused too", n)
	}
	return e
}

func details(s metav1.Status) []metav1.StatusCause {
	if s.Details == nil {
		return nil
	}
	return s.Details.Causes
}

// fieldOf returns the path of the field that a status refuses, and why.
func fieldOf(s metav1.Status) (path, what string) {
	if s.Reason == metav1.StatusReasonNotFound { // of the object itself none is asked for
		return "metadata.namespace", s.Message
	}
	for _, c := range details(s) {
		if c.Field != "" {
			return c.Field, c.Message
		}
	}
	for _, r := range fieldInText {
		if m := r.FindStringSubmatch(s.Message); m != nil {
			return m[r.SubexpIndex("path")], m[r.SubexpIndex("what")]
		}
	}
	return "", s.Message
}

// refusalCode returns the code of a refusal.
func refusalCode(path, what string) string {
	switch {
	case strings.Contains(what, "immutable"):
		return "E-MAN-IMMUTABLE"
	case path == "metadata.namespace":
		return "E-MAN-NAMESPACE"
	case path == "":
		return "E-MAN-REFUSED"
	}
	return "E-MAN-FIELD"
}
