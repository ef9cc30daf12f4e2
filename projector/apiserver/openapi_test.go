package apiserver

import (
	"strings"
	"testing"
)

// The descriptions of the API are there when they are asked for, of every
// group, and listed among the paths.
func TestOpenAPI(t *testing.T) {
	c := newCluster(t)
	d := c.client.Discovery()
	v2, err := d.OpenAPISchema()
	if err != nil || len(v2.Definitions.AdditionalProperties) < 100 {
		t.Errorf("version 2 has %d types: %v", len(v2.GetDefinitions().GetAdditionalProperties()), err)
	}
	groups, err := d.OpenAPIV3().Paths()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"api/v1", "apis/apps/v1", "apis/batch/v1"} {
		if groups[path] == nil {
			t.Errorf("version 3 does not know %s", path)
			continue
		}
		schema, err := groups[path].Schema("application/json")
		if err != nil || !strings.Contains(string(schema), `"x-kubernetes-group-version-kind"`) {
			t.Errorf("version 3 of %s: %v", path, err)
		}
	}
	root, err := c.client.Discovery().RESTClient().Get().AbsPath("/").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(root), `"/openapi/v2"`) || !strings.Contains(string(root), `"/openapi/v3"`) {
		t.Errorf("paths: %s, %v", root, err)
	}
}
