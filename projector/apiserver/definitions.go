package apiserver

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// packed are Kubernetes' schemas of what is served, as JSON that is compressed:
// definitions by name. The Go code that Kubernetes generates for them, of every
// type that it has, would be 6 MB of the binary, for what few clients ask.
// TestDefinitions compares the two, and writes the file.
//
//go:embed definitions.json.gz
var packed []byte

// definition is a common.OpenAPIDefinition in the file: V2 is the schema that
// version 2 has in place of the other, and references are names of definitions.
type definition struct {
	Schema spec.Schema  `json:"schema"`
	V2     *spec.Schema `json:"v2,omitempty"`
	Needs  []string     `json:"needs,omitempty"`
}

// definitions returns Kubernetes' schemas of what is served.
func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all, err := unpack(packed)
	if err != nil {
		panic(fmt.Sprintf("the binary's own schemas: %v", err))
	}
	made := make(map[string]common.OpenAPIDefinition, len(all))
	for name, d := range all {
		refer(&d.Schema, ref)
		o := common.OpenAPIDefinition{Schema: d.Schema, Dependencies: d.Needs}
		if d.V2 != nil {
			refer(d.V2, ref)
			o = common.EmbedOpenAPIDefinitionIntoV2Extension(o, common.OpenAPIDefinition{Schema: *d.V2})
		}
		made[name] = o
	}
	return made
}

func unpack(file []byte) (all map[string]*definition, err error) {
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("unpack schemas: %w", err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack schemas: %w", err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read schemas: %w", err)
	}
	return all, nil
}

// refer puts what ref makes of a name in the place of each name that a schema
// refers to.
func refer(s *spec.Schema, ref common.ReferenceCallback) {
	if name := s.Ref.String(); name != "" {
		s.Ref = ref(name)
	}
	for _, name := range slices.Collect(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		refer(&p, ref)
		s.Properties[name] = p
	}
	for _, some := range [][]spec.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		for i := range some {
			refer(&some[i], ref)
		}
	}
	if s.Items != nil && s.Items.Schema != nil {
		refer(s.Items.Schema, ref)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		refer(s.AdditionalProperties.Schema, ref)
	}
}
