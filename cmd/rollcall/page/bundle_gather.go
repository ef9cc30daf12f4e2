package page

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rollcall/controller/replay"
	"rollcall/events"
)

// How much a bundle has answers to.
const (
	bundleSteps   = 200    // instants of the views that stand at one
	bundleNodes   = 40_000 // cells of names in all of them: fewer instants of more nodes
	bundleHeld    = 40     // instants of what a DaemonSet is, why, and what holds it back
	bundleTold    = 1000   // events with what they come from and led to
	bundleObjects = 300    // objects with their life and why they are so
	bundlePairs   = 6      // rollouts of which each is held against each
	// What reads the log for each question is asked less of a long one: so many events
	// are read for all questions of a kind.
	bundleRead = 200_000
)

// few returns how many questions of a kind are asked, of which each reads the log.
func (a *gathered) few(most int) int { return min(most, max(20, bundleRead/len(a.Events))) }

// stepwise are the paths whose answer stands until the next that is there.
var stepwise = []string{"overview", "rollouts", "nodes", "names", "object", "why", "why-not", "rates", "health", "sources", "marks"}

// reply takes what a handler answers.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *reply) Header() http.Header         { return r.header }
func (r *reply) WriteHeader(status int)      { r.status = status }
func (r *reply) Write(b []byte) (int, error) { return r.body.Write(b) }

// put asks the page itself; queries are "name=value".
func (p *Page) put(ctx context.Context, path string, queries ...string) ([]byte, error) {
	values := url.Values{}
	for _, q := range queries {
		name, value, _ := strings.Cut(q, "=")
		values.Add(name, value)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/"+path+"?"+values.Encode(), nil)
	if err != nil {
		return nil, err
	}
	w := &reply{header: http.Header{}, status: http.StatusOK}
	p.mux.ServeHTTP(w, r)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case w.status != http.StatusOK:
		e := new(events.Error)
		if json.Unmarshal(w.body.Bytes(), e) != nil {
			e.What = w.body.String()
		}
		return nil, fmt.Errorf("%s: %s", path, e.What)
	}
	return w.body.Bytes(), nil
}

// envelope is the document of an answer, as far as a bundle looks into it.
type envelope struct {
	Kind     string            `json:"kind"`
	Coverage json.RawMessage   `json:"coverage"`
	Items    []json.RawMessage `json:"items"`
}

// into asks, and decodes the items of the answer.
func (p *Page) into(ctx context.Context, items any, path string, queries ...string) error {
	b, err := p.put(ctx, path, queries...)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &struct{ Items any }{items})
}

// keep asks at a position, and keeps the answer. A question that has none there, such
// as about an object that is gone, is left out: the page says that it is.
func (a *gathered) keep(ctx context.Context, p *Page, at events.Seq, path string, queries ...string) error {
	b, err := p.put(ctx, path, append([]string{fmt.Sprintf("at=%d", at)}, queries...)...)
	if err != nil {
		return ctx.Err()
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	doc, err := json.Marshal(e)
	if err != nil {
		return err
	}
	n, known := a.docs[string(doc)]
	if !known {
		n = uint64(len(a.Docs))
		a.docs[string(doc)], a.Docs = n, append(a.Docs, doc)
	}
	slices.Sort(queries)
	key := path + "?" + strings.Join(queries, "&")
	if of := a.Answers[key]; len(of) == 0 || of[len(of)-1][0] < uint64(at) {
		a.Answers[key] = append(of, [2]uint64{uint64(at), n})
	}
	return nil
}

// gather asks for all that a bundle has.
func (p *Page) gather(ctx context.Context) (*gathered, error) {
	a := &gathered{Of: map[string][]events.Seq{}, Cells: map[string]string{}, Answers: map[string][][2]uint64{}, docs: map[string]uint64{}, Stepwise: stepwise}
	for _, part := range []func(context.Context, *Page) error{a.whole, a.steps, a.cells, a.standing, a.told, a.objects, a.compared} {
		if err := part(ctx, p); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// whole asks what the log is.
func (a *gathered) whole(ctx context.Context, p *Page) (err error) {
	if a.Info, err = p.put(ctx, "info"); err != nil {
		return err
	}
	var said struct{ Coverage replay.Span }
	var e envelope
	if err = json.Unmarshal(a.Info, &said); err == nil {
		err = json.Unmarshal(a.Info, &e)
	}
	if err != nil {
		return err
	}
	a.Coverage, a.First, a.Last = e.Coverage, said.Coverage.First, said.Coverage.Last
	if n := a.Last - a.First + 1; n > maxBundleEvents {
		return tooLarge(fmt.Sprintf("it has %d events, and a page takes %d", n, maxBundleEvents))
	}
	for i, axis := range []string{"axis=", "axis=time"} {
		if a.Density[i], err = p.put(ctx, "density", axis, "buckets=300"); err != nil {
			return err
		}
	}
	return p.into(ctx, &a.rolls, "rollouts")
}

// steps asks for all events, in words.
func (a *gathered) steps(ctx context.Context, p *Page) error {
	waves := []events.Seq{}
	for _, r := range a.rolls {
		for _, w := range r.Waves {
			waves = append(waves, w.Seq)
		}
	}
	slices.Sort(waves)
	a.Plan, a.Wave = []events.Seq{}, slices.Compact(waves)
	for after := a.First - 1; after < a.Last; {
		var items []json.RawMessage
		if err := p.into(ctx, &items, "events", fmt.Sprintf("after=%d", after), fmt.Sprintf("limit=%d", maxSteps)); err != nil {
			return err
		}
		if len(items) == 0 {
			return fmt.Errorf("the events after #%d are not there", after)
		}
		for _, item := range items {
			var s replay.Step
			if err := json.Unmarshal(item, &s); err != nil {
				return err
			}
			after = s.Seq
			a.Events, a.Times = append(a.Events, item), append(a.Times, max(s.Time.UnixMilli(), a.lastTime()))
			if s.Type == events.Planned {
				a.Plan = append(a.Plan, s.Seq)
			}
		}
	}
	return nil
}

func (a *gathered) lastTime() int64 {
	if len(a.Times) == 0 {
		return 0
	}
	return a.Times[len(a.Times)-1]
}

// cells asks how each DaemonSet stands on all nodes, at every position.
func (a *gathered) cells(ctx context.Context, p *Page) error {
	for _, r := range a.rolls {
		if name := r.DaemonSet.String(); !slices.Contains(a.sets, name) {
			a.sets = append(a.sets, name)
		}
	}
	var end []struct{ DaemonSet string }
	var glances []struct{ DaemonSets json.RawMessage }
	err := p.into(ctx, &glances, "overview")
	if err == nil && len(glances) > 0 {
		err = json.Unmarshal(glances[0].DaemonSets, &end)
	}
	if err != nil {
		return err
	}
	for _, d := range end {
		if name := strings.TrimPrefix(d.DaemonSet, "ds/"); !slices.Contains(a.sets, name) {
			a.sets = append(a.sets, name)
		}
	}
	for _, ds := range a.sets {
		b, err := p.put(ctx, "deltas", "ds="+ds, fmt.Sprintf("from=%d", a.First), fmt.Sprintf("at=%d", a.Last))
		if err != nil {
			return err
		}
		a.Cells[ds] = base64.StdEncoding.EncodeToString(packed(b))
		for after := a.First - 1; ; {
			var items []struct{ Seq events.Seq }
			if err := p.into(ctx, &items, "events", "ds="+ds, fmt.Sprintf("after=%d", after), fmt.Sprintf("limit=%d", maxSteps)); err != nil {
				return err
			}
			for _, s := range items {
				after = s.Seq
				a.Of[ds] = append(a.Of[ds], s.Seq)
			}
			if len(items) < maxSteps {
				break
			}
		}
	}
	return nil
}

// instants are those of which a bundle has the views that stand at one: begins and
// ends of rollouts and waves, and others between them.
func (a *gathered) instants(nodes int) []events.Seq {
	n := max(20, min(bundleSteps, bundleNodes/max(1, nodes)))
	all := []events.Seq{a.First, a.Last}
	for _, r := range a.rolls {
		all = append(all, r.Start.Seq)
		if r.End.Seq > 0 {
			all = append(all, r.End.Seq)
		}
	}
	for i := range n {
		all = append(all, a.First+(a.Last-a.First)*events.Seq(i)/events.Seq(n))
	}
	if len(a.Wave) < n {
		all = append(all, a.Wave...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(seq events.Seq) bool { return seq < a.First || seq > a.Last })
}

// standing asks for the views that stand at an instant.
func (a *gathered) standing(ctx context.Context, p *Page) error {
	var said []struct{ Nodes int }
	if err := p.into(ctx, &said, "info"); err != nil {
		return err
	}
	all := a.instants(said[0].Nodes)
	every := (len(all) + a.few(bundleHeld) - 1) / a.few(bundleHeld)
	for i, at := range all {
		asks := [][]string{{"overview"}, {"rollouts"}, {"nodes"}, {"rates"}}
		for _, ds := range a.sets {
			if i%every == 0 || at == a.Last {
				asks = append(asks, []string{"why-not", "of=ds/" + ds}, []string{"why", "of=ds/" + ds}, []string{"object", "of=ds/" + ds})
			}
		}
		for _, q := range asks {
			if err := a.keep(ctx, p, at, q[0], q[1:]...); err != nil {
				return err
			}
		}
	}
	for _, path := range []string{"marks", "health", "sources"} {
		if err := a.keep(ctx, p, a.Last, path); err != nil {
			return err
		}
	}
	for _, r := range a.rolls {
		to := max(r.End.Seq, r.Start.Seq)
		if r.End.Seq == 0 {
			to = a.Last
		}
		if err := a.keep(ctx, p, to, "diff", fmt.Sprintf("from=%d", r.Start.Seq)); err != nil {
			return err
		}
		for _, at := range []events.Seq{r.Start.Seq, to} {
			if err := a.keep(ctx, p, at, "forecast", "ds="+r.DaemonSet.String()); err != nil {
				return err
			}
		}
	}
	return a.keep(ctx, p, a.Last, "diff", fmt.Sprintf("from=%d", a.First))
}
