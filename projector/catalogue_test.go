package projector_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
)

type fields = map[string]any

// packed is a value in msgpack.
func packed(t *testing.T, v any) []byte {
	t.Helper()
	b, err := wire.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const aULID = "01J9ZK5V2B0000000000000000"

// fact is an envelope of a fact about an object, changed by more.
func fact(kind, namespace, name, uid string, object, more fields) fields {
	meta := fields{"name": name, "uid": uid}
	ref := fields{"kind": kind, "name": name, "uid": uid}
	if namespace != "" {
		meta["namespace"], ref["namespace"] = namespace, namespace
	}
	o := fields{"metadata": meta}
	maps.Copy(o, object)
	m := fields{"v": 1, "type": strings.ToLower(kind) + ".updated", "at": "2026-11-21T10:43:00Z", "source": "test", "ref": ref, "object": o}
	maps.Copy(m, more)
	return m
}

// strange is something that comes to stand in a log, and what is made of it.
type strange struct {
	name    string
	raw     any // the envelope, or its bytes
	subject string
	code    string // of the quarantine; "": it is believed
}

func nodeFact(name string, more fields) fields { return fact("Node", "", name, "u-"+name, nil, more) }

// badFact is one about a node, of which one field is as it should not be.
func badFact(field string, value any) fields { return nodeFact("n9", fields{field: value}) }

func podFact(name, uid string, object fields) fields { return fact("Pod", "a", name, uid, object, nil) }

// goneFact is a fact about an object made one about its end.
func goneFact(m fields) fields {
	m["gone"], m["type"] = m["object"], strings.Replace(m["type"].(string), "updated", "deleted", 1)
	delete(m, "object")
	return m
}

var daemonSetRef = fields{"kind": "DaemonSet", "namespace": "a", "name": "d", "uid": "u-d"}

// planOf is a plan that was decided from a position.
func planOf(basis int) fields {
	return fields{"v": 1, "type": "daemonset.planned", "at": "2026-11-21T10:43:00Z", "ref": daemonSetRef,
		"plan": fields{"basis": fields{"seq": basis, "now": "2026-11-21T10:43:00Z"}, "commands": []any{fields{"do": "DeletePod", "ref": fields{"kind": "Pod", "namespace": "a", "name": "p", "uid": "u-p"}, "node": "n1", "reason": "Rollout"}}}}
}

// failureOf is the answer to a command of a plan.
func failureOf(seq, index int) fields {
	return fields{"v": 1, "type": "command.failed", "at": "2026-11-21T10:43:00Z", "cause": fields{"seq": seq, "index": index},
		"ref": daemonSetRef, "outcome": fields{"reason": "Forbidden", "message": "no"}}
}

// catalogue is the catalogue of bad input, as far as it can come to stand in a log;
// the numbers are those of its section on events. What comes through the gate is in
// publisher/schema.
func catalogue() []strange { return append(badForms(), badContents()...) }

// badForms are not bytes, fields and names as they have to be.
func badForms() []strange {
	return []strange{
		{"9.1-E1 empty", []byte{}, "", "E-EVT-EMPTY"},
		{"9.1-E3 text", []byte("hello"), "", "E-EVT-MSGPACK"},
		{"9.1-E4 cut", []byte("\x82\xa1v\x01\xa3re"), "", "E-EVT-MSGPACK"},
		{"9.1-E5 two values", []byte("\x80\x80"), "", "E-EVT-MSGPACK"},
		{"9.1-E6 deep", append([]byte("\x82\xa1v\x01\xa1x"), bytes.Repeat([]byte{0x91}, 20_000)...), "", "E-EVT-MSGPACK"},
		{"9.1-E8 case of a key", fields{"v": 1, "REF": fields{"kind": "Node", "name": "n9", "uid": "u"}, "object": fields{}}, "", "E-EVT-MSGPACK"},
		{"9.1-E9 unknown field", badFact("colour", "red"), "", ""},
		{"9.1-E10 no body", fields{"v": 1, "type": "node.created"}, "", "E-EVT-KIND"},
		{"9.1-E11 version 99", badFact("v", 99), "", "E-EVT-VERSION"},
		{"9.1-E12 unknown type", badFact("type", "node.exploded"), "", "E-EVT-TYPE"},
		{"9.1-E13 UTF-8 in a name", fact("Node", "", "n\xff", "u", nil, nil), "", "E-EVT-NAME"},
		{"9.1-E14 NUL in a name", nodeFact("n\x00", nil), "", "E-EVT-NAME"},
		{"9.1-E14 ESC in a name", nodeFact("n\x1b[2J", nil), "", "E-EVT-NAME"},
		{"9.1-E14 U+202E in a name", nodeFact("n\u202e", nil), "", "E-EVT-NAME"},
		{"9.1-E15 *", nodeFact("*", nil), "", "E-EVT-NAME"},
		{"9.1-E15 >", nodeFact(">", nil), "", "E-EVT-NAME"},
		{"9.1-E15 space", nodeFact("a b", nil), "", "E-EVT-NAME"},
		{"9.1-E15 two dots", nodeFact("a..b", nil), "", "E-EVT-NAME"},
		{"9.1-E15 a dot before", nodeFact(".a", nil), "", "E-EVT-NAME"},
		{"9.1-E15 a dot behind", nodeFact("a.", nil), "", "E-EVT-NAME"},
		{"9.1-E15 tab", nodeFact("a\tb", nil), "", "E-EVT-NAME"},
		{"9.1-E15 newline", nodeFact("a\nb", nil), "", "E-EVT-NAME"},
		{"9.1-E16 254 characters", nodeFact(strings.Repeat("a", 254), nil), "", "E-EVT-NAME"},
		{"9.1-E17 upper case", nodeFact("N9", nil), "", "E-EVT-NAME"},
		{"9.1-E17 underscore", nodeFact("n_9", nil), "", "E-EVT-NAME"},
		{"9.1-E17 unicode", nodeFact("knöten", nil), "", "E-EVT-NAME"},
	}
}

// badContents are about what is not, or not so.
func badContents() []strange {
	owner := fields{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u-d", "controller": true}
	return []strange{
		{"9.1-E18 another's subject", nodeFact("n9", nil), "rollcall.c.node._.n8", "E-EVT-SUBJECT"},
		{"9.1-E19 no uid", fact("Node", "", "n9", "", nil, nil), "", "E-EVT-UID"},
		{"9.1-E21 lower case", badFact("id", strings.ToLower(aULID)), "", ""}, // the same 16 bytes
		{"9.1-E21 25 characters", badFact("id", aULID[1:]), "", "E-EVT-MSGPACK"},
		{"9.1-E21 27 characters", badFact("id", aULID+"0"), "", "E-EVT-MSGPACK"},
		{"9.1-E21 first above 7", badFact("id", "8"+aULID[1:]), "", "E-EVT-MSGPACK"},
		{"9.1-E21 a letter that is none", badFact("id", aULID[:25]+"U"), "", "E-EVT-MSGPACK"},
		{"9.1-E22 ten years ahead", badFact("id", "01WZZZZZZZ0000000000000007"), "", ""}, // an id is no time
		{"9.1-E23 yesterday", badFact("at", "yesterday"), "", "E-EVT-MSGPACK"},
		{"9.1-E23 offset", badFact("at", "2026-11-26T14:03:05+25:00"), "", "E-EVT-MSGPACK"},
		{"9.1-E23 leap second", badFact("at", "2026-11-26T23:59:60Z"), "", "E-EVT-MSGPACK"},
		{"9.1-E25 negative position", badFact("cause", fields{"seq": -1}), "", "E-EVT-MSGPACK"},
		{"9.1-E25 position as text", badFact("cause", fields{"seq": "7"}), "", "E-EVT-MSGPACK"},
		{"9.1-E27 unknown node", podFact("p", "u-p", fields{"spec": fields{"nodeName": "nowhere"}}), "", ""},
		{"9.1-E28 two controllers", fact("Pod", "a", "two", "u-two", fields{"metadata": fields{"namespace": "a", "name": "two", "uid": "u-two",
			"ownerReferences": []any{owner, fields{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u-r", "controller": true}}}}, nil), "", ""},
		{"9.1-E29 owner with another uid", fact("Pod", "a", "other", "u-other", fields{"metadata": fields{"namespace": "a", "name": "other", "uid": "u-other",
			"ownerReferences": []any{fields{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u-before", "controller": true}}}}, nil), "", ""},
		{"9.1-E30 the end of what is not there", goneFact(podFact("never", "u-never", nil)), "", ""},
		{"9.1-E31 gone", goneFact(nodeFact("n1", nil)), "", ""},
		{"9.1-E31 and there again", nodeFact("n1", nil), "", ""}, // the last fact counts, whatever was before it
		{"9.1-E35 a plan of somebody else", planOf(1), "", ""},   // one that could be: it is not fenced by who forges it, and #1 is what it knows
		{"9.1-E35 the same again", planOf(1), "", "E-EVT-STALE"},
		{"9.1-E36 without a cause", fields{"v": 1, "type": "command.failed", "ref": daemonSetRef, "outcome": fields{"reason": "x"}}, "", ""},
		{"9.1-E36 a cause yet to come", failureOf(9999, 0), "", "E-EVT-ANSWER"},
		{"9.1-E36 a basis yet to come", planOf(9999), "", "E-EVT-STALE"},
		{"9.1-E38 no such command", failureOf(1, 0), "", "E-EVT-ANSWER"},
		{"9.1-E42 lengths that lie", []byte("\xdd\xff\xff\xff\xff"), "", "E-EVT-MSGPACK"},
		{"9.1-E42 gzip", []byte("\x1f\x8b\x08\x00\x00\x00"), "", "E-EVT-MSGPACK"},
		{"9.1-E43 NaN as a position", badFact("cause", []byte("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00")), "", "E-EVT-MSGPACK"},
		{"9.1-E45 of another cluster", nodeFact("n9", nil), "rollcall.other.node._.n8", "E-EVT-SUBJECT"},
	}
}

// TestCatalogue: what cannot be so is quarantined, the rest is folded, and the fold
// goes on and is as it should be after each.
func TestCatalogue(t *testing.T) {
	s := projector.New("x")
	seq := events.Seq(0)
	fold := func(c strange) string {
		t.Helper()
		raw, is := c.raw.([]byte)
		if !is {
			raw = packed(t, c.raw)
		}
		e := events.Decode(raw)
		seq++
		e.Seq, e.Raw, e.Stored, e.Subject = seq, raw, time.Unix(int64(seq), 0), c.subject
		if b, no := projector.Fold(s, e).Body.(events.Unreadable); no {
			return b.Code
		}
		return ""
	}
	ds := fact("DaemonSet", "a", "d", "u-d", fields{"spec": fields{"selector": fields{"matchLabels": fields{"a": "b"}}, "template": fields{"metadata": fields{"labels": fields{"a": "b"}}}}}, nil)
	for _, c := range []strange{{raw: fact("Node", "", "n1", "u-n1", nil, nil)}, {raw: ds}} {
		if code := fold(c); code != "" {
			t.Fatal(code)
		}
	}
	wrong := 0
	for _, c := range catalogue() {
		if code := fold(c); code != c.code {
			t.Errorf("%s: %q, want %q", c.name, code, c.code)
		}
		if c.code != "" {
			wrong++
		}
		if err := s.Check(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if n, _ := s.Quarantined(); n != wrong || s.Seq() != seq {
			t.Fatalf("%s: %d are quarantined, want %d; at #%d of %d", c.name, n, wrong, s.Seq(), seq)
		}
	}
}

// TestFirstAnswerCounts: of two answers to a command, and of two events of one id,
// the first counts, also when the second says something else: 9.1-E20, 9.1-E39.
func TestFirstAnswerCounts(t *testing.T) {
	s := projector.New("x")
	seq := events.Seq(0)
	fold := func(m fields) (code string) {
		raw := packed(t, m)
		e := events.Decode(raw)
		seq++
		e.Seq, e.Raw = seq, raw
		if b, no := projector.Fold(s, e).Body.(events.Unreadable); no {
			return b.Code
		}
		return ""
	}
	owner := fields{"kind": "DaemonSet", "namespace": "a", "name": "d", "uid": "u-d"}
	created := func(id, uid string) fields {
		return fact("Pod", "a", "p", uid, nil, fields{"id": id, "cause": fields{"seq": 2, "index": 0}})
	}
	for i, c := range []struct {
		m    fields
		code string
	}{
		{fact("Node", "", "n1", "u-n1", nil, fields{"id": aULID}), ""},
		{fields{"v": 1, "type": "daemonset.planned", "ref": owner, "plan": fields{"basis": fields{"seq": 1}, "commands": []any{fields{"do": "CreatePod", "ref": fields{"kind": "Pod", "namespace": "a", "name": "p", "uid": "u-p"}, "node": "n1", "nodeUID": "u-n1"}}}}, ""},
		{fact("Node", "", "n1", "u-n1", fields{"spec": fields{"unschedulable": true}}, fields{"id": aULID}), "E-EVT-REPEATED"},
		{created("01J9ZK5V2B0000000000000001", "u-p"), ""},
		{fields{"v": 1, "type": "command.failed", "cause": fields{"seq": 2, "index": 0}, "ref": owner, "outcome": fields{"reason": "Forbidden"}}, "E-EVT-ANSWER"},
		{created("01J9ZK5V2B0000000000000002", "u-q"), "E-EVT-ANSWER"},
	} {
		if code := fold(c.m); code != c.code {
			t.Errorf("#%d: %q, want %q", i+1, code, c.code)
		}
	}
	o, _, ok := s.Object(events.Pod, events.Key{Namespace: "a", Name: "p"})
	if !ok || o.UID != "u-p" {
		t.Errorf("the pod is %+v", o.Ref)
	}
}
