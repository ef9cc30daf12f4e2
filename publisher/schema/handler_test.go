package schema_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"rollcall/publisher/schema"
)

// TestHandler serves the table, each schema by its id and by its type, and says
// what it does not have.
func TestHandler(t *testing.T) {
	get := func(method, path string, status int, media string) string {
		t.Helper()
		w := httptest.NewRecorder()
		schema.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != status || w.Header().Get("Content-Type") != media || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %d %s %s", method, path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		return w.Body.String()
	}
	list := get("GET", schema.Path, 200, "application/json")
	for _, row := range schema.Types() {
		if !strings.Contains(list, row.ID()) {
			t.Errorf("%s is not in the list", row.ID())
		}
		byID := get("GET", row.ID(), 200, "application/schema+json")
		if byName := get("GET", schema.Path+"/"+row.Name, 200, "application/schema+json"); byName != byID || !strings.Contains(byID, `"$id": "`+row.ID()+`"`) {
			t.Errorf("%s: %s", row.ID(), byName)
		}
	}
	get("GET", schema.Path+"/node.observed/2.json", 404, "application/problem+json")
	get("GET", schema.Path+"/../../etc/passwd", 404, "application/problem+json")
	if doc := get("GET", schema.AsyncAPIPath, 200, "application/json"); doc != string(schema.AsyncAPI()) {
		t.Error(doc)
	}
	get("POST", schema.Path, 405, "application/problem+json")
}

// TestAsyncAPI has the document name every type, and nothing that is not in it.
func TestAsyncAPI(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(schema.AsyncAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	messages := doc["components"].(map[string]any)["messages"].(map[string]any)
	for _, row := range schema.Types() {
		if messages[row.Name] == nil {
			t.Errorf("%s is no message", row.Name)
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case map[string]any:
			if to, ok := x["$ref"].(string); ok && !resolves(doc, to) {
				t.Errorf("%s refers to nothing", to)
			}
			for _, e := range x {
				walk(e)
			}
		}
	}
	walk(doc)
}

// resolves reports whether a reference is to a place in the document, or to the
// schema of a type.
func resolves(doc any, to string) bool {
	place, inside := strings.CutPrefix(to, "#/")
	if !inside {
		return slices.ContainsFunc(schema.Types(), func(row schema.Type) bool { return row.ID() == to })
	}
	for _, name := range strings.Split(place, "/") {
		m, ok := doc.(map[string]any)
		if !ok || m[name] == nil {
			return false
		}
		doc = m[name]
	}
	return true
}
