package schema_test

import (
	"encoding/json"
	"net/http/httptest"
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
	get("POST", schema.Path, 405, "application/problem+json")
}
