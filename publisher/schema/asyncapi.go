package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
)

// AsyncAPIPath is where the AsyncAPI document is served.
const AsyncAPIPath = "/v1/asyncapi.json"

type tree = map[string]any

// AsyncAPI returns the AsyncAPI 3.0 document of both doors of a gate: what can be
// sent where, and what is answered.
var AsyncAPI = sync.OnceValue(func() []byte {
	messages, here := tree{}, tree{}
	for _, t := range table {
		messages[t.Name] = messageOf(t)
		here[t.Name] = ref("#/components/messages/" + t.Name)
	}
	messages["answer"] = tree{"contentType": "application/json", "summary": "the event is in the log", "payload": ref("#/components/schemas/answer")}
	messages["problem"] = tree{"contentType": "application/problem+json", "summary": "it was refused, as of RFC 9457", "payload": ref("#/components/schemas/problem")}
	replies := tree{"answer": ref("#/components/messages/answer"), "problem": ref("#/components/messages/problem")}
	cluster := tree{"description": "name of the cluster; rollcall up prints it"}
	kind := tree{"description": "type of the event"}
	doc := tree{
		"asyncapi": "3.0.0",
		"info":     tree{"title": "rollcall", "version": "1", "description": "What programs can tell a rollcall cluster. An event is told once however often it is sent: source and id are what it is known by."},
		"channels": tree{
			"http": tree{"address": "/v1/events", "messages": here, "description": "HTTP POST beside the Kubernetes API, with Authorization: Bearer TOKEN"},
			"nats": tree{"address": "rollcall.{cluster}.ingest.{type}", "messages": here, "description": "NATS request by the user of the data directory",
				"parameters": tree{"cluster": cluster, "type": kind}},
			"natsOfSource": tree{"address": "rollcall.{cluster}.from.{source}.ingest.{type}", "messages": here, "description": "NATS request by the user of a source",
				"parameters": tree{"cluster": cluster, "type": kind, "source": tree{"description": "name of the source"}}},
			"answers": tree{"address": nil, "messages": replies, "description": "the response of HTTP, or the reply of NATS"},
		},
		"operations": tree{},
		"components": tree{"messages": messages, "schemas": tree{"event": envelopeSchema(), "answer": answerSchema(), "problem": problemSchema()}},
	}
	for _, door := range []string{"http", "nats", "natsOfSource"} {
		op := tree{"action": "receive", "channel": ref("#/channels/" + door), "reply": tree{"channel": ref("#/channels/answers")}}
		if door == "http" {
			op["bindings"] = tree{"http": tree{"method": "POST"}}
		}
		doc["operations"].(tree)[door] = op
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		panic(fmt.Sprintf("the AsyncAPI document: %v", err)) // it is made of constants
	}
	return out.Bytes()
})

func ref(to string) tree { return tree{"$ref": to} }

// messageOf is a type's event: CloudEvents round data of ours.
func messageOf(t Type) tree {
	kind := tree{"const": t.Name}
	if t.Name == anyType {
		kind = tree{"pattern": reverseDNS.String()}
	}
	return tree{"title": t.Name, "summary": t.Summary, "contentType": "application/cloudevents+json",
		"payload": tree{"allOf": []any{ref("#/components/schemas/event"),
			tree{"properties": tree{"type": kind, "subject": tree{"description": t.Subject}, "data": ref(t.ID())}}}},
		"examples": []any{tree{"payload": t.Example}}}
}

func text(about string) tree { return tree{"type": "string", "description": about} }

func envelopeSchema() tree {
	return tree{"type": "object", "required": []string{"type"}, "properties": tree{
		"specversion": tree{"const": "1.0"}, "type": text("what is told"), "subject": text("what it is about"),
		"source": text("who tells; if not given, the name of the source"), "id": text("with source, what the event is known by; if not given, derived from the rest"),
		"time": tree{"type": "string", "format": "date-time"}, "dataschema": tree{"type": "string", "format": "uri"},
		"datacontenttype": text("application/json if not given"), "data": tree{}}}
}

func answerSchema() tree {
	return tree{"type": "object", "required": []string{"accepted", "seq", "id", "duplicate"}, "properties": tree{
		"accepted": tree{"const": true}, "seq": tree{"type": "integer", "description": "position in the log"}, "id": text("as sent, or as derived"),
		"duplicate": tree{"type": "boolean", "description": "it was there already"}, "warnings": tree{"type": "array", "items": tree{"type": "string"}}}}
}

func problemSchema() tree {
	return tree{"type": "object", "required": []string{"type", "title", "status", "detail", "code"}, "properties": tree{
		"type": text("urn:rollcall:problem:CODE"), "title": text(""), "status": tree{"type": "integer"}, "detail": text("what, why, what to do"), "code": text("E-TOLD-..."),
		"errors": tree{"type": "array", "items": tree{"type": "object", "properties": tree{
			"pointer": text("JSON pointer into the event"), "expected": text(""), "got": text(""), "hint": text("what may have been meant")}}},
		"reject": tree{"type": "integer", "description": "its number among the rejects"}}}
}
