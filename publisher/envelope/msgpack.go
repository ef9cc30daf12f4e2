package envelope

import (
	"fmt"

	"rollcall/events/wire"
	"rollcall/publisher"
)

func isMsgpack(media string) bool {
	return media == "application/msgpack" || media == "application/x-msgpack" || media == "application/vnd.msgpack"
}

// fromMsgpack reads one event, or an array of them, in the form that they have in
// JSON.
func fromMsgpack(body []byte, l terms) (Batch, *publisher.Problem) {
	if len(body) == 0 {
		return Batch{}, empty()
	}
	if !wire.IsArray(body) {
		return Batch{Items: []Item{oneMsgpack(body, l)}}, nil
	}
	c := wire.NewCursor(body)
	n := c.Array()
	if n > l.Events {
		return Batch{}, tooMany(l)
	}
	batch := Batch{Many: true}
	for range n {
		batch.Items = append(batch.Items, oneMsgpack(c.Value(), l))
	}
	switch {
	case c.Err() != nil:
		return Batch{}, noMsgpack(c.Err().Error())
	case len(c.Rest()) > 0:
		return Batch{}, noMsgpack("another value follows")
	case n == 0:
		return Batch{}, empty()
	}
	return batch, nil
}

func oneMsgpack(b []byte, l terms) Item {
	j, p := toJSON(b, l.Depth)
	if p != nil {
		return Item{Raw: b, Problem: p}
	}
	return one(j, b, l)
}

func noMsgpack(why string) *publisher.Problem {
	return publisher.NewProblem(400, "E-TOLD-MSGPACK", "no msgpack", fmt.Sprintf("%s; send what JSON has too, as msgpack", why))
}

// toJSON returns one msgpack value as JSON. Its depth and its text are checked
// before anything is made of it.
func toJSON(b []byte, depth int) ([]byte, *publisher.Problem) {
	c := wire.NewCursor(b)
	if p := bounded(&c, b, depth); p != nil {
		return nil, p
	}
	j, err := wire.ToJSON(b)
	if err != nil {
		return nil, noMsgpack(err.Error())
	}
	return j, nil
}

// bounded walks over the next value of b. What a cursor does not read it fails at.
func bounded(c *wire.Cursor, b []byte, depth int) *publisher.Problem {
	at := len(b) - len(c.Rest())
	switch rest := c.Rest(); {
	case wire.IsString(rest):
		if s := c.Str(); c.Err() == nil && notUTF8(s) >= 0 {
			return publisher.NewProblem(400, "E-TOLD-UTF8", "not UTF-8", fmt.Sprintf("the text at byte %d is not UTF-8; send UTF-8", at))
		}
	case (wire.IsArray(rest) || wire.IsMap(rest)) && depth == 0:
		return tooDeep(int64(at))
	case wire.IsArray(rest):
		for n := c.Array(); n > 0 && c.Err() == nil; n-- {
			if p := bounded(c, b, depth-1); p != nil {
				return p
			}
		}
	case wire.IsMap(rest):
		for n := 2 * c.Map(); n > 0 && c.Err() == nil; n-- {
			if p := bounded(c, b, depth-1); p != nil {
				return p
			}
		}
	default:
		c.Skip()
	}
	if err := c.Err(); err != nil {
		return noMsgpack(err.Error())
	}
	return nil
}
