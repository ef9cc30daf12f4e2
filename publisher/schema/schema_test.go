package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
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
		if strings.Contains(string(row.Example), `"until"`) {
			t.Errorf("the example of %s can be sent until a time has come, and not after", row.Name)
		}
		if len(row.Document()) == 0 {
			t.Errorf("%s has no schema", row.Name)
		}
	}
}

// TestDocumented has EVENTS.md name every type of the table, and every field of
// its data.
func TestDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "EVENTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "## What can be told")
	for _, row := range schema.Types() {
		at := strings.Index(section, "| `"+row.Name+"` |")
		if row.Name == "note" {
			at = strings.Index(section, "| any reverse-DNS type")
		}
		if at < 0 {
			t.Errorf("%s has no row", row.Name)
			continue
		}
		line, _, _ := strings.Cut(section[at:], "\n")
		var doc struct{ Properties map[string]any }
		if err := json.Unmarshal(row.Document(), &doc); err != nil {
			t.Fatal(err)
		}
		for name := range doc.Properties {
			if !strings.Contains(line, "`"+name+"`") && !strings.Contains(line, "`data."+name+"`") {
				t.Errorf("the row of %s does not name %s", row.Name, name)
			}
		}
	}
}
