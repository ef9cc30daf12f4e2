package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
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

func TestCheckRefuses(t *testing.T) {
	for _, c := range []struct{ name, hex, want string }{
		{"nothing", "", "unexpected end at byte 0"},
		{"array of 4 Gi", "dd ff ff ff ff", "declared length 4294967295 exceeds the 0 bytes left at byte 5"},
		{"map of 4 Gi", "df ff ff ff ff", "declared length 4294967295 exceeds the 0 bytes left at byte 5"},
		{"string of 4 Gi", "db ff ff ff ff", "declared length 4294967295 exceeds the 0 bytes left at byte 5"},
		{"binary of 64 Ki", "c5 ff ff 00", "declared length 65535 exceeds the 1 bytes left at byte 3"},
		{"map of 3 with 2", "de 00 03 a1 61 01 a1 62 01", "unexpected end at byte 9"},
		{"array of 3 with 2", "93 01 02", "unexpected end at byte 3"},
		{"map without its value", "81 a1 61", "unexpected end at byte 3"},
		{"short string", "a3 61 62", "unexpected end at byte 1"},
		{"short number", "cd 01", "unexpected end at byte 2"},
		{"two values", "01 02", "another value follows at byte 1"},
		{"reserved byte", "91 c1", "byte 0xc1 begins nothing that is allowed at byte 1"},
		{"extension", "d4 01 02", "byte 0xd4 begins nothing that is allowed at byte 0"},
		{"timestamp", "d6 ff 00 00 00 00", "byte 0xd6 begins nothing that is allowed at byte 0"},
		{"number as key", "81 01 02", "map key is not a string at byte 1"},
		{"binary as key", "81 c4 01 61 02", "map key is not a string at byte 1"},
		{"nil as key", "81 c0 02", "map key is not a string at byte 1"},
		{"key twice", "83 a1 61 01 a1 62 01 a1 61 01", "map key is there twice at byte 8"},
		{"key twice running", "82 a1 61 01 a1 61 02", "map key is there twice at byte 5"},
		{"key twice in two forms", "82 d9 01 61 01 a1 61 02", "map key is there twice at byte 6"},
		{"key twice inside", "82 a1 62 82 a1 61 01 a1 61 02 a1 61 01", "map key is there twice at byte 8"},
		{"not UTF-8", "91 a2 c3 28", "string is not UTF-8 at byte 1"},
		{"key not UTF-8", "81 a1 ff 01", "string is not UTF-8 at byte 1"},
		{"surrogate", "a3 ed a0 80", "string is not UTF-8 at byte 0"},
		{"NaN", "cb 7f f8 00 00 00 00 00 01", "number is not finite at byte 0"},
		{"infinity", "91 ca 7f 80 00 00", "number is not finite at byte 1"},
		{"five deep", "91 91 91 91 90", "nested deeper than the limit at byte 4"},
		{"five deep in maps", "81 a1 61 81 a1 61 81 a1 61 81 a1 61 80", "nested deeper than the limit at byte 12"},
		{"large", strings.Repeat("00", 65), "65 bytes are more than the limit of 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := wire.Check(unhex(t, c.hex), wire.Limits{Depth: 4, Bytes: 64})
			if err == nil || err.Error() != "msgpack: "+c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestCheckTakes(t *testing.T) {
	for _, h := range []string{
		"c0", "c2", "00", "ff", "cf ff ff ff ff ff ff ff ff", "d3 80 00 00 00 00 00 00 00", "ca 3f 80 00 00",
		"80", "90", "a0", "c4 02 ff fe", "91 91 91 90",
		"82 a1 61 81 a1 61 01 a1 62 81 a1 61 01", // a key again in another map
		"82 a1 62 01 a1 61 01",                   // keys in any order
		"de 00 01 a1 61 dc 00 01 d9 01 62",       // long forms of short lengths
	} {
		if err := wire.Check(unhex(t, h), wire.Limits{Depth: 4, Bytes: 64}); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestCheckBelievesNoLength: five bytes must not cost gigabytes (a decoder
// that makes room first would).
func TestCheckBelievesNoLength(t *testing.T) {
	_ = wire.Unmarshal([]byte{0x80}, new(corev1.PodList)) // builds the codecs
	for _, h := range []string{"dd ff ff ff ff", "df ff ff ff ff", "db ff ff ff ff", "c6 ff ff ff ff", "c9 ff ff ff ff"} {
		b := unhex(t, h)
		if n := allocated(func() { _ = wire.Check(b, wire.DefaultLimits) }); n > 4096 {
			t.Errorf("%s: Check allocated %d bytes", h, n)
		}
		if n := allocated(func() { _ = wire.Unmarshal(b, new(corev1.PodList)) }); n > 16384 {
			t.Errorf("%s: Unmarshal allocated %d bytes", h, n)
		}
	}
}

// TestUnmarshalIsBounded: one byte of input can mean a container, 400 bytes of Go.
func TestUnmarshalIsBounded(t *testing.T) {
	const n = 200_000
	containers := append(unhex(t, "81 a4 73706563 81 aa 636f6e7461696e657273 dd 00 03 0d 40"), make([]byte, 0, n)...)
	containers = append(containers, bytes.Repeat([]byte{0x80}, n)...)
	if err := wire.Check(containers, wire.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	var err error
	spent := allocated(func() { err = wire.Unmarshal(containers, new(corev1.Pod)) })
	if err == nil || !strings.Contains(err.Error(), "more than an input of this size can mean") {
		t.Errorf("got %v", err)
	}
	if spent > 64<<10 {
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
			limits := wire.DefaultLimits
			if err := wire.Check(c.data, limits); err != nil {
				t.Fatal(err)
			}
			var err error
			n := allocated(func() { err = wire.Unmarshal(c.data, c.into) })
			t.Logf("%.1f times the input, %v", float64(n)/float64(len(c.data)), err)
			if n > uint64(64*len(c.data)) {
				t.Errorf("allocated %d bytes for %d", n, len(c.data))
			}
		})
	}
}

// TestUnmarshalBelievesNoLength: nor where the input is long enough for it.
// Check would refuse these bytes, but they may come from a damaged log.
func TestUnmarshalBelievesNoLength(t *testing.T) {
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

// TestDefaultLimitsFit measures what DefaultLimits says of real objects.
func TestDefaultLimitsFit(t *testing.T) {
	p := fluentd(t)
	if got := depthOf(t, p); got != 12 {
		t.Errorf("a Pod with managedFields is %d deep", got)
	}
	ds := new(appsv1.DaemonSet)
	ds.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Values: []string{"a"}}}}}}}}}
	if got := depthOf(t, ds); got != 13 {
		t.Errorf("a DaemonSet with affinity is %d deep", got)
	}
	fields := p.ManagedFields[0].FieldsV1.GetRawString()
	ds.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":` + fields + `}}`)}}
	if got := depthOf(t, ds); got != 14 {
		t.Errorf("a DaemonSet with managedFields is %d deep", got)
	}
	if got := depthOf(t, revision(t)); got > wire.DefaultLimits.Depth/2 {
		t.Errorf("a ControllerRevision is %d deep", got)
	}
	// The largest object that is common: a node with 200 images and long annotations.
	n := new(corev1.Node)
	n.Annotations = map[string]string{"last-applied": strings.Repeat("x", 100<<10)}
	for i := range 200 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
			Names: []string{fmt.Sprintf("registry.example.com/team/app-%d@sha256:%064d", i, i)}, SizeBytes: 1 << 30})
	}
	b, err := wire.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.Check(b, wire.DefaultLimits); err != nil {
		t.Error(err)
	}
}

// depthOf returns the least depth that Check allows for o.
func depthOf(t *testing.T, o any) int {
	t.Helper()
	b, err := wire.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for d := range 100 {
		if wire.Check(b, wire.Limits{Depth: d, Bytes: len(b)}) == nil {
			return d
		}
	}
	t.Fatal("deeper than 100")
	return 0
}

// FuzzCheck: what passes is safe for every reader.
func FuzzCheck(f *testing.F) {
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
		err := wire.Check(b, wire.DefaultLimits)
		c := wire.NewCursor(b)
		c.Skip()
		if err != nil {
			return // Skip must not have panicked all the same
		}
		if c.Err() != nil || c.More() {
			t.Fatalf("Check passes what Skip does not: %v", c.Err())
		}
		passed(t, b)
	})
}

// passed holds every reader to its promises about bytes that Check passed.
func passed(t *testing.T, b []byte) {
	var j []byte
	var err error
	bound := uint64(64*len(b) + 256<<10) // the floor of Unmarshal, codecs and the runtime's own
	if n := allocated(func() { j, err = wire.ToJSON(b) }); n > bound {
		t.Fatalf("ToJSON allocated %d for %d bytes", n, len(b))
	}
	if err != nil || !json.Valid(j) {
		t.Fatalf("ToJSON: %v: %s", err, j)
	}
	back, err := wire.FromJSON(j)
	if err != nil {
		t.Fatalf("FromJSON of %s: %v", j, err)
	}
	again, err := wire.ToJSON(back)
	if err != nil || numbersKept(j) != nil && fmt.Sprint(numbersKept(again)) != fmt.Sprint(numbersKept(j)) {
		t.Fatalf("%s became %s: %v", j, again, err)
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
}
