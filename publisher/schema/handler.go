package schema

import (
	"encoding/json"
	"net/http"
	"strings"

	"rollcall/publisher"
)

// Handler serves the table of types at Path, and below it the schema of each: by
// its id, and by its type alone the newest. The AsyncAPI document is at AsyncAPIPath.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem(w, publisher.NewProblem(http.StatusMethodNotAllowed, "E-TOLD-METHOD", "not allowed", "schemas are read with GET"))
			return
		}
		if r.URL.Path == AsyncAPIPath {
			write(w, "application/json", AsyncAPI())
			return
		}
		rest := strings.Trim(strings.TrimPrefix(r.URL.Path, Path), "/")
		if rest == "" {
			b, _ := json.MarshalIndent(map[string]any{"types": listing()}, "", "  ") // it is made of constants
			write(w, "application/json", append(b, '\n'))
			return
		}
		for _, t := range table {
			if rest == t.Name || Path+"/"+rest == t.ID() {
				write(w, "application/schema+json", t.Document())
				return
			}
		}
		problem(w, publisher.NewProblem(http.StatusNotFound, "E-TOLD-TYPE", "unknown type", "there is no schema "+short(r.URL.Path)+"; GET "+Path+" lists them"))
	})
}

// entry is a type with where its schema is.
type entry struct {
	Type
	Schema string `json:"schema"`
}

func listing() (all []entry) {
	for _, t := range table {
		all = append(all, entry{t, t.ID()})
	}
	return all
}

func write(w http.ResponseWriter, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(body) // who asked has gone, if it cannot be written
}

func problem(w http.ResponseWriter, p *publisher.Problem) {
	b, _ := json.Marshal(p) // it has strings and numbers only
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n'))
}
