package apiserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	extensions "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

var rewrite = flag.Bool("rewrite", false, "write definitions.json.gz")

// The schemas of the file are those that Kubernetes' generated code has of what
// is served, whatever a reference is written as.
func TestDefinitions(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile("definitions.json.gz", pack(t, generated(t, byName)), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log("written")
		return
	}
	ref := func(name string) spec.Ref { return spec.MustCreateRef("#/definitions/" + name) }
	want, got := generated(t, ref), definitions(ref)
	if w, g := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(w, g) {
		t.Errorf("the file has %d definitions, of %d (go test ./projector/apiserver -run TestDefinitions -rewrite)", len(g), len(w))
	}
	for name, w := range want {
		g := got[name]
		if a, b := marshalled(t, w.Schema), marshalled(t, g.Schema); !bytes.Equal(a, b) {
			t.Errorf("%s is\n%s, of\n%s", name, b, a)
		}
		if !slices.Equal(w.Dependencies, g.Dependencies) {
			t.Errorf("%s needs %v, of %v", name, g.Dependencies, w.Dependencies)
		}
		_, w2 := w.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema)
		if _, g2 := g.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); w2 != g2 {
			t.Errorf("%s has a schema of version 2: %v, of %v", name, g2, w2)
		}
	}
}

func byName(name string) spec.Ref { return spec.MustCreateRef(name) }

// generated returns the definitions of what is served as Kubernetes' generated
// code has them, with what these refer to.
func generated(t *testing.T, ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := openapi.GetOpenAPIDefinitions(ref)
	maps.Copy(all, extensions.GetOpenAPIDefinitions(ref))
	kept := map[string]common.OpenAPIDefinition{}
	var keep func(name string)
	keep = func(name string) {
		d, ok := all[name]
		if !ok {
			t.Errorf("nothing is generated for %s", name)
		}
		if _, again := kept[name]; again {
			return
		}
		kept[name] = d
		for _, dep := range d.Dependencies {
			keep(dep)
		}
	}
	prefixes := describedPackages()
	for name := range all {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			keep(name)
		}
	}
	return kept
}

// describedPackages are the packages whose types are described in the API's schema.
func describedPackages() []string {
	ps := []string{"io.k8s.apimachinery.", "io.k8s.api.authentication.v1.", "io.k8s.api.authorization.v1.", "io.k8s.api.events.v1.", "io.k8s.apiextensions-apiserver.", "io.k8s.kube-aggregator."}
	for _, r := range served {
		group, _, _ := strings.Cut(r.group, ".")
		if group == "" {
			group = "core"
		}
		for _, v := range versionsOf(r.group) {
			if p := "io.k8s.api." + group + "." + v + "."; !slices.Contains(ps, p) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

func pack(t *testing.T, all map[string]common.OpenAPIDefinition) []byte {
	file := map[string]definition{}
	for name, o := range all {
		d := definition{Schema: o.Schema, Needs: o.Dependencies}
		if v2, ok := o.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			d.V2 = &v2
			d.Schema.Extensions = maps.Clone(d.Schema.Extensions)
			delete(d.Schema.Extensions, common.ExtensionV2Schema)
		}
		file[name] = d
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(marshalled(t, file)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func marshalled(t *testing.T, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
