package replay_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/controller/condition"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/events/wire"
	"rollcall/projector/story"
)

// recorded opens a recording of testdata/recordings.
func recorded(tb testing.TB, name string) *recording.Recording {
	tb.Helper()
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", name+".rollcall"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

var recordings = []string{"clean-roll", "bad-image", "stuck-node", "zone-outage", "second-update", "flapping-nodes"}

// brute is a search that decodes everything.
type brute struct {
	es      []events.Event
	strings [][]string         // of each event
	fields  [][]story.Field    // that each event changes
	objects [][2]events.Object // before and after each event
}

func bruteOf(t *testing.T, r *recording.Recording) *brute {
	t.Helper()
	b, was := &brute{}, map[events.Ref]events.Object{}
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := wire.Unmarshal(e.Raw, &tree); err != nil {
			t.Fatal(err)
		}
		var fs []story.Field
		var both [2]events.Object
		ref := events.RefOf(e)
		ref.UID = ""
		switch o := e.Body.(type) {
		case events.Object:
			fs, both = story.Fields(was[ref], o), [2]events.Object{was[ref], o}
			was[ref] = o
		case events.Gone:
			delete(was, ref)
		}
		b.es, b.strings, b.fields, b.objects = append(b.es, e), append(b.strings, stringsOf(tree)), append(b.fields, fs), append(b.objects, both)
	}
	return b
}

// stringsOf returns the strings of a tree, keys among them.
func stringsOf(tree any) (all []string) {
	switch v := tree.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			all = append(all, stringsOf(x)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(append(all, k), stringsOf(v[k])...)
		}
	}
	return all
}

func (b *brute) having(of func(i int) bool) (seqs []events.Seq) {
	for i, e := range b.es {
		if of(i) {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

func search(t *testing.T, h *replay.History, q replay.Query) (seqs []events.Seq) {
	t.Helper()
	x, err := h.Search(t.Context(), q, 1, h.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	for _, hit := range x.Hits {
		seqs = append(seqs, hit.Seq)
	}
	return seqs
}

// piece returns a random piece of a random string of the events.
func (b *brute) piece(random *rand.Rand) string {
	for {
		all := b.strings[random.IntN(len(b.es))]
		if s := all[random.IntN(len(all))]; s != "" {
			from := random.IntN(len(s))
			return s[from:min(len(s), from+1+random.IntN(16))]
		}
	}
}

// change returns a random change of a field, or of what is above it.
func (b *brute) change(random *rand.Rand) *replay.FieldChange {
	for {
		fs := b.fields[random.IntN(len(b.es))]
		if len(fs) == 0 {
			continue
		}
		f := fs[random.IntN(len(fs))]
		if random.IntN(2) == 0 {
			return replay.NewFieldChange(f.Path, &f.New)
		}
		if above := strings.LastIndexAny(f.Path, ".["); above > 0 && random.IntN(2) == 0 {
			f.Path = f.Path[:above]
		}
		return replay.NewFieldChange(f.Path, nil)
	}
}

// TestSearchIsComplete: for 1,000 random pieces of the strings of all recordings,
// and changes of fields, a search finds what decoding everything finds. Of those
// that are found everywhere, few are looked for.
func TestSearchIsComplete(t *testing.T) {
	for _, name := range recordings {
		t.Run(name, func(t *testing.T) {
			r := recorded(t, name)
			h, b := open(t, r), bruteOf(t, r)
			random := rand.New(rand.NewPCG(1, uint64(len(name))))
			for n := 0; n < 170; {
				var q replay.Query
				of := func(string) bool { return false }
				switch random.IntN(5) {
				case 0, 1:
					q.Field = b.change(random)
				case 2:
					q.Pattern = regexp.MustCompile("(?i)^" + regexp.QuoteMeta(strings.ToUpper(b.piece(random))))
					of = q.Pattern.MatchString
				default:
					q.Text = b.piece(random)
					of = func(s string) bool { return strings.Contains(s, q.Text) }
				}
				want := b.having(func(i int) bool {
					if c := q.Field; c != nil {
						fs := story.FieldsIn(b.objects[i][0], b.objects[i][1], c.Path) // also into elements that came or went
						return slices.ContainsFunc(fs, func(f story.Field) bool { return c.To == nil || f.New == *c.To })
					}
					return slices.ContainsFunc(b.strings[i], of)
				})
				if len(want) > 50 && random.IntN(20) > 0 {
					continue
				}
				n++
				if got := search(t, h, q); !slices.Equal(got, want) {
					t.Fatalf("%q, %v, %+v: %v, want %v", q.Text, q.Pattern, q.Field, got, want)
				}
			}
		})
	}
}

// TestSearchFilters: kind, namespace, range and limit bound what is found, and a
// hit is told as the log tells it.
func TestSearchFilters(t *testing.T) {
	h := open(t, recorded(t, "stuck-node"))
	for _, c := range []struct {
		q        replay.Query
		from, to events.Seq
		want     string
	}{
		{replay.Query{Text: "node-0014", Kind: events.Node}, 150, 200, "[188 189 198 199] false"},
		{replay.Query{Text: "node-0014", Kind: events.DaemonSet, Limit: 1}, 150, 200, "[156] true"},
		{replay.Query{Text: "node-0014", Kind: events.Node, Namespace: "kube-system"}, 150, 200, "[] false"},
		{replay.Query{Field: replay.NewFieldChange("status.conditions[Ready].status", nil), Kind: events.Node}, 150, 438, "[189 199] false"},
	} {
		x, err := h.Search(t.Context(), c.q, c.from, c.to)
		if err != nil {
			t.Fatal(err)
		}
		seqs := []events.Seq{}
		for _, hit := range x.Hits {
			seqs = append(seqs, hit.Seq)
		}
		if got := fmt.Sprint(seqs, x.More); got != c.want {
			t.Errorf("%+v: %s, want %s", c.q, got, c.want)
		}
	}
	to := "Unknown"
	x, err := h.Search(t.Context(), replay.Query{Field: replay.NewFieldChange("status.conditions[Ready].status", &to), Kind: events.Node}, 1, 438)
	if err != nil || len(x.Hits) != 1 || !strings.Contains(x.Hits[0].What, "Ready True→Unknown") || x.Hits[0].Fields[0].Old != "True" {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestSearchCondition: an expression that names the event is found at every event
// at which it is true, one of the state alone where it turns true.
func TestSearchCondition(t *testing.T) {
	h := open(t, recorded(t, "stuck-node"))
	for expr, want := range map[string]int{
		`event.type == "daemonset.planned" && event.commands.exists(c, c.reason == "Rollout")`: 25,
		`state.counts["kube-system/node-agent"].available < 24`:                                2,
		`false`: 0,
	} {
		c, err := condition.Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := search(t, h, replay.Query{Condition: c}); len(got) != want {
			t.Errorf("%s: %v, want %d", expr, got, want)
		}
	}
}

// BenchmarkSearch looks through the large recording for a text and for changes of
// a field. It is to look at 500,000 events a second.
func BenchmarkSearch(b *testing.B) {
	to := "False"
	for name, q := range map[string]replay.Query{
		"text":  {Text: "node-4711", Limit: 1000},
		"rare":  {Text: "nothing like it"},
		"field": {Field: replay.NewFieldChange("status.conditions[Ready].status", &to), Kind: events.Node, Limit: 1000},
		"phase": {Field: replay.NewFieldChange("status.phase", &to), Kind: events.Pod},
	} {
		b.Run(name, func(b *testing.B) {
			h := large(b)
			looked := 0
			for b.Loop() {
				x, err := h.Search(b.Context(), q, 1, h.Span().Last)
				if err != nil {
					b.Fatal(err)
				}
				looked += x.Events
			}
			b.ReportMetric(float64(looked)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(looked)/float64(b.N), "events")
		})
	}
}
