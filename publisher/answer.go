package publisher

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Answer is what the gate says of an event that it took.
type Answer struct {
	Accepted  bool   `json:"accepted"` // always true
	Seq       uint64 `json:"seq"`      // position in the log
	ID        string `json:"id"`       // as sent, or the one that was derived
	Duplicate bool   `json:"duplicate"`
	// Warnings say what was done other than the sender may think, a sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// Problem is a refusal as of RFC 9457. It is an error, of one line.
type Problem struct {
	Type   string         `json:"type"` // "urn:rollcall:problem:e-told-data"
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"` // one line: what, why, what to do
	Code   string         `json:"code"`   // "E-TOLD-DATA"
	Errors []ProblemError `json:"errors,omitempty"`
	Reject uint64         `json:"reject,omitempty"` // its number among the rejects; 0: it was not kept
	// RetryAfter is how long to wait before it is sent again, if that may help.
	RetryAfter time.Duration `json:"-"`
}

// ProblemError is one thing that is wrong in an event.
type ProblemError struct {
	Pointer  string `json:"pointer"`            // JSON pointer into the event: "/data/capacity/cpu"
	Expected string `json:"expected,omitempty"` // "quantity"
	Got      string `json:"got,omitempty"`      // as JSON, shortened
	Hint     string `json:"hint,omitempty"`     // "did you mean \"4\"?"
}

// NewProblem returns a refusal. Code is "E-TOLD-" and a word, detail one line.
func NewProblem(status int, code, title, detail string) *Problem {
	return &Problem{Type: "urn:rollcall:problem:" + strings.ToLower(code), Title: title, Status: status, Detail: detail, Code: code}
}

// Error returns code and detail.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// String returns the thing that is wrong on one line.
func (e ProblemError) String() string {
	var parts []string
	if e.Expected != "" {
		parts = append(parts, "expected "+e.Expected)
	}
	if e.Got != "" {
		parts = append(parts, "got "+e.Got)
	}
	if e.Hint != "" {
		parts = append(parts, e.Hint)
	}
	return fmt.Sprintf("%s: %s", e.Pointer, strings.Join(parts, ", "))
}

// Result is what the gate says of one event of several: Answer or Problem, and
// the other is nil.
type Result struct {
	Answer  *Answer
	Problem *Problem
}

// Results are what the gate says of several events, in their order.
type Results struct {
	Results []Result `json:"results"`
}

// MarshalJSON returns the answer or the problem.
func (r Result) MarshalJSON() ([]byte, error) {
	if r.Problem != nil {
		return json.Marshal(r.Problem)
	}
	return json.Marshal(r.Answer)
}

// UnmarshalJSON reads an answer, or else a problem.
func (r *Result) UnmarshalJSON(b []byte) error {
	var is struct {
		Accepted bool `json:"accepted"`
	}
	if err := json.Unmarshal(b, &is); err != nil {
		return err
	}
	if is.Accepted {
		return json.Unmarshal(b, &r.Answer)
	}
	return json.Unmarshal(b, &r.Problem)
}
