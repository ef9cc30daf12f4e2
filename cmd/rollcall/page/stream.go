package page

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall/controller/grid"
	"rollcall/events"
)

// heartbeat is after how long without a frame a stream says that it is there, and
// patience how long a page may take with one.
const (
	heartbeat = 15 * time.Second
	patience  = 10 * time.Second
)

// delta is one frame of a stream: how far the log is, and the cells that differ from
// the frame before, each as its place in four bytes, the low first, and the cell.
type delta struct {
	Seq   events.Seq `json:"seq"`
	Time  time.Time  `json:"time"`
	Nodes int        `json:"nodes"`
	Cells string     `json:"cells,omitempty"` // in base64
}

// stream tells a page how a DaemonSet stands on all nodes as the log goes on, from
// the position that the page knows.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	if !p.Live {
		writeError(w, &events.Error{Code: "E-UI-STOPPED", What: "nothing comes: no instance runs on this log", Do: "ask for instants of it", Exit: events.ExitInput})
		return
	}
	q := &query{Request: r, reader: p.lanes[places], page: p}
	f := &follower{frames: make(chan frame, 1)}
	err := reads(r, "ds from")
	if err == nil {
		f.of, err = q.daemonSet()
	}
	var known *known
	if err == nil {
		known, err = p.knows(q, f)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if !p.live.join(f) {
		writeError(w, &events.Error{Code: "E-UI-MANY", What: fmt.Sprintf("%d pages follow the log already", maxStreams), Do: "close some", Exit: events.ExitInput})
		return
	}
	defer p.live.leave(f)
	w.Header().Set("Content-Type", "text/event-stream")
	c := http.NewResponseController(w)
	send := func(text string) bool {
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		_, err := w.Write([]byte(text))
		return err == nil && c.Flush() == nil
	}
	if !send(": it begins\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case x := <-f.frames:
			if x.err != nil {
				send("event: end\ndata: {}\n\n")
				return
			}
			if text := known.goOn(x); text != "" && !send(text) {
				return
			}
		case <-beat.C:
			if !send(": it goes on\n\n") {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// knows returns what a page has that begins a stream, or goes on with one. Where nobody
// has been told of that the cells are not known, and the first frame has all of them.
func (p *Page) knows(q *query, f *follower) (*known, error) {
	k := &known{}
	text := q.FormValue("from")
	if last := q.Header.Get("Last-Event-ID"); last != "" {
		text = last
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, refused(fmt.Sprintf("from cannot be %q", text), "give the position that the page has")
	}
	return k, q.take(q.Context(), func() error {
		k.seq = min(events.Seq(seq), q.h.Span().Last)
		_, err := q.followed(f.of, k.seq, k.seq, func(c *changes) { k.cells = q.whole(c.at(k.seq), k.seq) })
		return err
	})
}

// known is what a page has.
type known struct {
	seq   events.Seq
	cells []byte
}

// goOn returns the message that makes what a page has a frame; empty: it has that.
func (k *known) goOn(x frame) string {
	switch {
	case x.seq <= k.seq:
		return ""
	case x.text != "" && x.before == k.seq: // as the others have it
		k.seq, k.cells = x.seq, x.cells
		return x.text
	}
	var out []byte
	for i := 0; i < len(x.cells); i += grid.CellBytes {
		is := x.cells[i : i+grid.CellBytes]
		if i+grid.CellBytes <= len(k.cells) && string(k.cells[i:i+grid.CellBytes]) == string(is) {
			continue
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(i/grid.CellBytes))
		out = append(out, is...)
	}
	k.seq, k.cells = x.seq, x.cells
	b, err := json.Marshal(delta{x.seq, x.time, len(x.cells) / grid.CellBytes, base64.StdEncoding.EncodeToString(out)})
	if err != nil {
		return "" // numbers and text have a JSON form
	}
	return fmt.Sprintf("id: %d\nevent: frame\ndata: %s\n\n", x.seq, b)
}
