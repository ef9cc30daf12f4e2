package envelope

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"rollcall/publisher"
)

// prefix is of the headers that are attributes of an event in binary mode.
const prefix = "ce-"

// header has the headers that are read here, by their names in lower case.
type header map[string]string

// headers takes the headers that are read here out of a message.
func headers(all map[string][]string) (header, *publisher.Problem) {
	h := header{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		low, values := strings.ToLower(name), all[name]
		if !strings.HasPrefix(low, prefix) && low != "content-type" && low != "content-encoding" || len(values) == 0 {
			continue
		}
		if _, twice := h[low]; twice || len(values) > 1 {
			return nil, publisher.NewProblem(400, "E-TOLD-ATTRIBUTE", "a header twice", fmt.Sprintf("the header %s is there twice; send it once", quote(low)))
		}
		h[low] = values[0]
	}
	return h, nil
}

// binary reports whether the attributes of the event are headers.
func (h header) binary() bool {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// fromHeaders reads an event in binary mode: attributes in headers, the body is
// its data.
func fromHeaders(h header, media string, body []byte, l terms) Item {
	item := Item{Raw: body}
	a := attributes{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		attribute, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		value, err := url.PathUnescape(h[name])
		if err != nil || notUTF8([]byte(value)) >= 0 {
			item.Problem = wrong("/"+pointer(attribute), "UTF-8, percent-encoded", quote(h[name]), "write % as %25")
			return item
		}
		a[attribute] = value
	}
	if a["datacontenttype"] == "" && h["content-type"] != "" {
		a["datacontenttype"] = h["content-type"]
	}
	if item.Event, item.Problem = a.event(); item.Problem != nil {
		return item
	}
	item.Event.Data, item.Problem = bodyData(media, body, l)
	if isMsgpack(media) {
		item.Event.DataContentType = "" // it is JSON now
	}
	return item
}

// bodyData returns a body as JSON.
func bodyData(media string, body []byte, l terms) (json.RawMessage, *publisher.Problem) {
	switch {
	case len(body) == 0:
		return nil, nil
	case isMsgpack(media):
		j, p := toJSON(body, l.Depth-1)
		if p == nil {
			p = check(j, l.Depth-1)
		}
		return j, p
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return body, check(body, l.Depth-1)
	case strings.HasPrefix(media, "text/"):
		if at := notUTF8(body); at >= 0 {
			return nil, publisher.NewProblem(400, "E-TOLD-UTF8", "not UTF-8", fmt.Sprintf("the text is not UTF-8 at byte %d; send UTF-8", at))
		}
		j, _ := json.Marshal(string(body)) // a string can always be written
		return j, nil
	}
	return nil, unknownMedia(media)
}
