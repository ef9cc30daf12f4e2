package replay_test

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/seal"
)

// Verify counts values of Secrets that stand in a log in clear, which is no
// difference, and a search finds hashes and no values.
func TestClearValues(t *testing.T) {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.New(subjects, time.Now)
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	clear := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s", UID: "u"}, Data: map[string][]byte{"a": []byte("hidden"), "b": []byte("hidden too")}}
	sealed, err := seal.NewRing(key).Seal(clear)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []*corev1.Secret{clear, sealed} {
		o, err := events.NewObject(events.Secret, s)
		if err != nil {
			t.Fatal(err)
		}
		typ := events.ObjectType(events.Secret, []string{events.VerbCreated, events.VerbUpdated}[i])
		if _, err := log.Append(t.Context(), events.Entry{Event: events.Event{ID: ulid.Make(), Type: typ, At: time.Now(), Body: o}}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := replay.Verify(t.Context(), log)
	if err != nil || r.Clear != 2 || r.First() != nil {
		t.Errorf("%+v, %v", r, err)
	}
	h := open(t, log)
	shown, _ := seal.Shown(sealed.Data["a"])
	for text, want := range map[string]int{"hidden": 0, shown: 1} {
		found, err := h.Search(t.Context(), replay.Query{Text: text}, 1, 2)
		if err != nil || len(found.Hits) != want || want == 1 && found.Hits[0].Value != shown {
			t.Errorf("%q: found %+v, %v", text, found, err)
		}
	}
}
