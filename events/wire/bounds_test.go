package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events/wire"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// allocated returns the bytes that f allocates: the least of some tries, since what
// others allocate meanwhile is counted too.
func allocated(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// others is what the runtime and goroutines that go on may allocate beside what is
// measured: far less than what a length would cost that is believed.
const others = 1 << 20

// TestUnmarshalBelievesNoLength: five bytes must not cost gigabytes (a decoder
// that makes room first would).
func TestUnmarshalBelievesNoLength(t *testing.T) {
	_ = wire.Unmarshal([]byte{0x80}, new(corev1.PodList)) // builds the codecs
	for _, h := range []string{"dd ff ff ff ff", "df ff ff ff ff", "db ff ff ff ff", "c6 ff ff ff ff", "c9 ff ff ff ff"} {
		b := unhex(t, h)
		if n := allocated(func() { _, _ = wire.ToJSON(b) }); n > others {
			t.Errorf("%s: ToJSON allocated %d bytes", h, n)
		}
		if n := allocated(func() { _ = wire.Unmarshal(b, new(corev1.PodList)) }); n > others {
			t.Errorf("%s: Unmarshal allocated %d bytes", h, n)
		}
	}
}

// TestUnmarshalIsBounded: one byte of input can mean a container, 400 bytes of Go.
func TestUnmarshalIsBounded(t *testing.T) {
	const n = 200_000
	containers := append(unhex(t, "81 a4 73706563 81 aa 636f6e7461696e657273 dd 00 03 0d 40"), make([]byte, 0, n)...)
	containers = append(containers, bytes.Repeat([]byte{0x80}, n)...)
	var err error
	spent := allocated(func() { err = wire.Unmarshal(containers, new(corev1.Pod)) })
	if err == nil || !strings.Contains(err.Error(), "more than an input of this size can mean") {
		t.Errorf("got %v", err)
	}
	if spent > others {
		t.Errorf("allocated %d bytes", spent)
	}
}

// TestMapsAreBounded: what is allowed stays within 64 times the input.
func TestMapsAreBounded(t *testing.T) {
	entries := func(value ...byte) []byte {
		b := unhex(t, "de 4e 20") // 20,000
		for i := range 20_000 {
			b = append(b, 0xa3, 'a'+byte(i/676), 'a'+byte(i/26%26), 'a'+byte(i%26))
			b = append(b, value...)
		}
		return b
	}
	for _, c := range []struct {
		name string
		data []byte
		into any
	}{
		{"labels", append(unhex(t, "81 a8 6d65746164617461 81 a6 6c6162656c73"), entries(0xa0)...), new(corev1.Pod)},
		{"data", append(unhex(t, "81 a4 64617461"), entries(0xc0)...), new(corev1.Secret)},
		{"overhead", append(unhex(t, "81 a4 73706563 81 a8 6f76657268656164"), entries(0xa1, '1')...), new(corev1.Pod)},
		{"any", entries(0xa0), new(any)},
		{"lists in maps", entries(0x81, 0xa0, 0x90), new(any)},
		{"small maps", append(unhex(t, "dc 4e 20"), bytes.Repeat(unhex(t, "81 a1 61 c0"), 20_000)...), new(any)},
		{"lists", append(unhex(t, "dc 4e 20"), bytes.Repeat(unhex(t, "91 90"), 20_000)...), new(any)},
		{"short strings", append(unhex(t, "81 a8 6d65746164617461 81 aa 66696e616c697a657273 dc 4e 20"), bytes.Repeat(unhex(t, "a1 61"), 20_000)...), new(corev1.Pod)},
		{"owners", append(unhex(t, "81 a8 6d65746164617461 81 af 6f776e65725265666572656e636573 dc 4e 20"), bytes.Repeat(unhex(t, "81 a3 756964 a1 61"), 20_000)...), new(corev1.Pod)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			n := allocated(func() { err = wire.Unmarshal(c.data, c.into) })
			t.Logf("%.1f times the input, %v", float64(n)/float64(len(c.data)), err)
			if n > uint64(64*len(c.data)) {
				t.Errorf("allocated %d bytes for %d", n, len(c.data))
			}
		})
	}
}

// TestUnmarshalBelievesNoLongLength: nor where the input is long enough for it.
func TestUnmarshalBelievesNoLongLength(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		into      any
	}{
		{"quantities", "81 a4 73706563 81 a8 6f76657268656164 df 00 01 86 a0", new(corev1.Pod)}, // 100,000
		{"labels", "81 a8 6d65746164617461 81 a6 6c6162656c73 df 00 01 86 a0", new(corev1.Pod)},
		{"any", "df 00 01 86 a0", new(any)},
	} {
		data := append(unhex(t, c.hex), make([]byte, 200_000)...)
		_ = wire.Unmarshal([]byte{0x80}, c.into) // builds the codecs
		var err error
		n := allocated(func() { err = wire.Unmarshal(data, c.into) })
		if err == nil || n > 48*uint64(len(data)) {
			t.Errorf("%s: allocated %.1f times the input, %v", c.name, float64(n)/float64(len(data)), err)
		}
	}
}

// FuzzRead: no bytes make a reader panic, or allocate much more than they are.
func FuzzRead(f *testing.F) {
	p := corev1.Pod{}
	p.Name, p.Labels = "a", map[string]string{"x": "y"}
	p.Spec.Containers = []corev1.Container{{Name: "c"}}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}}
	b, err := wire.Marshal(&p)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{b, unhex(f, "dd ff ff ff ff"), unhex(f, "82 a1 61 cb 7f f0 00 00 00 00 00 00 a1 62 c4 01 ff"),
		unhex(f, "81 a4 73706563 81 aa 636f6e7461696e657273 93 80 80 c0")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := wire.NewCursor(b)
		c.Skip()
		bound := uint64(64*len(b) + 256<<10) // the floor of Unmarshal, codecs and the runtime's own
		var j []byte
		var err error
		if n := allocated(func() { j, err = wire.ToJSON(b) }); n > bound {
			t.Fatalf("ToJSON allocated %d for %d bytes", n, len(b))
		}
		if err == nil {
			if c.Err() != nil || c.More() || !json.Valid(j) {
				t.Fatalf("%v: %s", c.Err(), j)
			}
			if _, err := wire.Marshal(json.RawMessage(j)); err != nil {
				t.Fatalf("Marshal of %s: %v", j, err)
			}
		}
		var pod corev1.Pod
		if n := allocated(func() { err = wire.Unmarshal(b, &pod) }); n > bound {
			t.Fatalf("Unmarshal allocated %d for %d bytes", n, len(b))
		}
		if err != nil {
			return
		}
		if _, err := wire.Marshal(&pod); err != nil {
			t.Fatalf("what Unmarshal read cannot be written: %v", err)
		}
	})
}
