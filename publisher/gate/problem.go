package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rollcall/events"
	"rollcall/publisher"
)

// retryAfter is when to come again that had no room, or for which the log had none.
const retryAfter = time.Second

func refusal(status int, code, title, format string, args ...any) *publisher.Problem {
	return publisher.NewProblem(status, code, title, fmt.Sprintf(format, args...))
}

// dataProblem says what is wrong with the data of an event.
func dataProblem(errs []publisher.ProblemError) *publisher.Problem {
	p := refusal(http.StatusUnprocessableEntity, "E-TOLD-DATA", "the data is wrong", "%d of its values cannot be so; correct what errors names", len(errs))
	p.Errors = errs
	return p
}

func notYours(t *told, node string) *publisher.Problem {
	return refusal(http.StatusForbidden, "E-TOLD-NODE", "not a node of this source",
		"source %s may not tell of node %s; let it with rollcall source add, or tell of its own nodes", t.by.Name, node)
}

func absent(what string, do string) *publisher.Problem {
	return refusal(http.StatusUnprocessableEntity, "E-TOLD-ABSENT", "not there", "there is no %s; %s", what, do)
}

func busy(why string) *publisher.Problem {
	p := refusal(http.StatusTooManyRequests, "E-TOLD-BUSY", "too much at once", "%s; send it again in a second", why)
	p.RetryAfter = retryAfter
	return p
}

// unavailable says that an event was not taken for no fault of its own.
func unavailable(err error) *publisher.Problem {
	why := err.Error()
	var e *events.Error
	if errors.As(err, &e) {
		why = e.What
		if e.Why != "" {
			why += ": " + e.Why
		}
	}
	if errors.Is(err, events.ErrUnknown) {
		why = "whether it is in the log is not known"
	}
	p := refusal(http.StatusServiceUnavailable, "E-TOLD-UNAVAILABLE", "the log takes nothing now", "%s; send the same event again, with the same id", oneLine(why))
	p.RetryAfter = retryAfter
	return p
}

func stopping() *publisher.Problem {
	p := refusal(http.StatusServiceUnavailable, "E-TOLD-STOPPING", "the instance is stopping", "it takes no more events; send the same event again when it runs")
	p.RetryAfter = retryAfter
	return p
}

// invalid says why the Kubernetes API would not store what an event makes of an
// object: its fields are those of the event's data, where it has them.
func invalid(err error, where map[string]string) *publisher.Problem {
	var st apierrors.APIStatus
	if !errors.As(err, &st) || st.Status().Details == nil || len(st.Status().Details.Causes) == 0 {
		return refusal(http.StatusUnprocessableEntity, "E-TOLD-INVALID", "Kubernetes would not store it", "%s; tell what the Kubernetes API takes", oneLine(err.Error()))
	}
	causes := st.Status().Details.Causes
	p := refusal(http.StatusUnprocessableEntity, "E-TOLD-INVALID", "Kubernetes would not store it",
		"%d of its values the Kubernetes API would refuse; correct what errors names", len(causes))
	for _, c := range causes {
		p.Errors = append(p.Errors, publisher.ProblemError{Pointer: pointer(c.Field, where), Hint: oneLine(c.Message)})
	}
	return p
}

// Where the fields of objects are in the data that told of them.
var (
	nodeFields = map[string]string{"metadata.name": "/subject", "metadata.labels": "/data/labels", "metadata.annotations": "/data/annotations",
		"spec.providerID": "/data/providerID", "spec.taints": "/data/taints", "metadata.taints": "/data/taints", "spec.unschedulable": "/data/unschedulable", "status.capacity": "/data/capacity",
		"status.allocatable": "/data/allocatable", "status.addresses": "/data/addresses", "status.conditions": "/data/conditions", "status.nodeInfo": "/data/nodeInfo"}
	podFields = map[string]string{"status.containerStatuses": "/data/containers", "status.podIP": "/data/podIP", "status.podIPs": "/data/podIP",
		"status.hostIP": "/data/hostIP", "status.hostIPs": "/data/hostIP", "status.phase": "/data/phase", "status.startTime": "/data/startTime"}
)

// pointer returns the JSON pointer into an event of a field of the API.
func pointer(field string, where map[string]string) string {
	for from, to := range where { // no name begins another but with a dot behind it
		rest, ok := strings.CutPrefix(field, from)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		for rest != "" {
			key := rest[1:]
			if rest[0] == '[' {
				key, rest, _ = strings.Cut(key, "]")
			} else if i := strings.IndexAny(key, ".["); i >= 0 {
				key, rest = key[:i], key[i:]
			} else {
				rest = ""
			}
			to += "/" + escape(key)
		}
		return to
	}
	return "/data"
}

// escape writes a key as a part of a JSON pointer.
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// maxGot bounds what a refusal repeats of its input.
const maxGot = 80

// quote returns text as JSON, shortened.
func quote(s string) string {
	if r := []rune(s); len(r) > maxGot {
		s = string(r[:maxGot]) + "..."
	}
	b, _ := json.Marshal(s) // a string can always be written
	return string(b)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
