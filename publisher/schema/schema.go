// Package schema says which events can be told and how they have to be: the
// table of types of rollcall's own, a JSON Schema of the data of each, made from
// the Go types of package publisher, and what is wrong with an event that is
// otherwise.
//
// Fields that a schema does not name pass, and are kept: a sender may be newer.
// A type that looks like one of ours and is none is refused, because it would
// else be a note that decides nothing.
//
// The package is pure but for handler.go, which serves over HTTP what is here.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"

	"rollcall/publisher"
)

// Path is where schemas are served.
const Path = "/v1/schemas"

// anyType stands in the table for the types of others: notes.
const anyType = "note"

// Type is a row of the table of what can be told.
type Type struct {
	Name    string          `json:"type"`
	Version int             `json:"version"` // of the schema
	Subject string          `json:"subject"` // how its subject looks: "node/NAME"
	Summary string          `json:"summary"`
	Example json.RawMessage `json:"example"` // a whole event
	data    any             // the zero value of the Go type of its data
}

// ID returns the path of the type's schema, which is its $id too.
func (t Type) ID() string { return fmt.Sprintf("%s/%s/%d.json", Path, t.Name, t.Version) }

// table has the types in the order in which they are listed.
var table = []Type{
	{publisher.TypeNodeObserved, 1, "node/NAME", "a node is there, and how it is; what is not told stays", json.RawMessage(
		`{"type":"node.observed","source":"/inventory","id":"n-17-2026-11-26","subject":"node/n-17","data":{"labels":{"zone":"a","spare":null},"taints":[{"key":"dedicated","value":"edge","effect":"NoSchedule"}],"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"addresses":[{"type":"InternalIP","address":"10.0.0.17"}],"conditions":[{"type":"Ready","status":"True","reason":"AgentReports"}]}}`), publisher.NodeObserved{}},
	{publisher.TypeNodeGone, 1, "node/NAME", "a node is no more", json.RawMessage(
		`{"type":"node.gone","source":"/inventory","id":"n-17-gone","subject":"node/n-17","data":{"reason":"Decommissioned"}}`), publisher.NodeGone{}},
	{publisher.TypeNodeCondition, 1, "node/NAME", "one condition of a node is now so", json.RawMessage(
		`{"type":"node.condition","source":"/agents/n-17","id":"n-17-disk-1","subject":"node/n-17","time":"2026-11-26T14:03:05Z","data":{"type":"DiskPressure","status":"True","reason":"DiskFull","message":"/var has 1% left"}}`), publisher.NodeCondition{}},
	{publisher.TypePodStatus, 1, "pod/NAMESPACE/NAME", "a pod does so, says who runs it; what is not told stays", json.RawMessage(
		`{"type":"pod.status","source":"/agents/n-17","id":"agent-x7k2p-3","subject":"pod/logging/agent-x7k2p","data":{"phase":"Running","ready":true,"podIP":"10.1.0.9","containers":[{"name":"agent","state":"running","ready":true,"restarts":1}]}}`), publisher.PodStatus{}},
	{publisher.TypeHoldPlaced, 1, "hold/NAME", "no rollout step for what is selected, until it is lifted or ends by itself", json.RawMessage(
		`{"type":"hold.placed","source":"/alertmanager","id":"error-rate-77","subject":"hold/error-rate","data":{"reason":"the error rate is above 1%","select":{"daemonSets":["logging/agent"]}}}`), publisher.HoldPlaced{}},
	{publisher.TypeHoldLifted, 1, "hold/NAME", "a hold of the same source has ended", json.RawMessage(
		`{"type":"hold.lifted","source":"/alertmanager","id":"error-rate-77-resolved","subject":"hold/error-rate","data":{"reason":"resolved"}}`), publisher.HoldLifted{}},
	{anyType, 1, "KIND/NAME or KIND/NAMESPACE/NAME, several with commas, or nothing", "any reverse-DNS type (com.example.deploy.started): a note, kept with the objects that it names; it decides nothing", json.RawMessage(
		`{"type":"com.example.deploy.started","source":"/ci/pipelines/7","id":"run-4711","subject":"ds/logging/agent","data":{"version":"2.3","by":"anna","objects":["node/n-17"]}}`), publisher.Note{}},
}

// Types returns the table of what can be told.
func Types() []Type { return append([]Type(nil), table...) }

// Find returns the row of a type; that of anyType for a type of somebody else.
func Find(name string) (Type, *publisher.Problem) {
	for _, t := range table {
		if t.Name == name {
			return t, nil
		}
	}
	if p := foreign(name); p != nil {
		return Type{}, p
	}
	return table[len(table)-1], nil
}

// generate returns the JSON Schema of the data of a type.
func generate(t Type) []byte {
	r := jsonschema.Reflector{DoNotReference: true, Anonymous: true, AllowAdditionalProperties: true, Mapper: mapped}
	s := r.Reflect(t.data)
	s.ID, s.Title, s.Description = jsonschema.ID(t.ID()), t.Name, t.Summary
	if p, ok := s.Properties.Get("labels"); ok {
		p.PropertyNames, p.AdditionalProperties = &jsonschema.Schema{Format: "label-name"}, orNull(&jsonschema.Schema{Format: "label-value"})
	}
	if p, ok := s.Properties.Get("annotations"); ok {
		p.PropertyNames, p.AdditionalProperties = &jsonschema.Schema{Format: "label-name"}, orNull(&jsonschema.Schema{})
	}
	if p, ok := s.Properties.Get("select"); ok {
		for one := p.Properties.Oldest(); one != nil; one = one.Next() {
			p.AnyOf = append(p.AnyOf, &jsonschema.Schema{Required: []string{one.Key}})
		}
	}
	b, err := json.Marshal(s)
	var out bytes.Buffer
	if err == nil {
		err = json.Indent(&out, b, "", "  ")
	}
	if err != nil {
		panic(fmt.Sprintf("the schema of %s: %v", t.Name, err)) // it is made of constants
	}
	return append(out.Bytes(), '\n')
}

// maxKeys bounds labels, annotations and resources of one node.
const maxKeys = 1024
