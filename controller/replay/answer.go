package replay

// AnswersVersion is the version of the JSON that questions to a log are answered
// with.
const AnswersVersion = "rollcall/v1"

// Answer is the document that a question to a log is answered with: by commands
// and by the page alike.
type Answer struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	At         Point  `json:"at"`
	Coverage   Span   `json:"coverage"`
	Items      any    `json:"items"`
}

// NewAnswer returns the document of an answer about a moment of a history.
func NewAnswer(kind string, at Moment, covers Span, items any) Answer {
	return Answer{kind, AnswersVersion, at.Point, covers, items}
}
