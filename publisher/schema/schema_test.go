package schema_test

import (
	"testing"

	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/schema"
)

// parse reads one event, as the gate does.
func parse(t testing.TB, body string) publisher.Event {
	t.Helper()
	b, p := envelope.Parse(envelope.Message{Body: []byte(body)}, envelope.Limits{})
	if p == nil && len(b.Items) == 1 {
		p = b.Items[0].Problem
	}
	if p != nil || len(b.Items) != 1 {
		t.Fatalf("%s: %d events, %v", body, len(b.Items), p)
	}
	return b.Items[0].Event
}

// TestExamples has each example of the table read and validated.
func TestExamples(t *testing.T) {
	for _, row := range schema.Types() {
		warnings, p := schema.Validate(parse(t, string(row.Example)))
		if p != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %+v", row.Name, warnings, p)
		}
		if len(row.Document()) == 0 {
			t.Errorf("%s has no schema", row.Name)
		}
	}
}
