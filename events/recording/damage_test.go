package recording_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rollcall/events"
	"rollcall/events/recording"
)

// small is a recording with a keyframe and two blocks, and its bytes.
func small(t *testing.T) (es []events.Event, whole []byte) {
	t.Helper()
	es = sample(t, 8, 500)
	path := filepath.Join(t.TempDir(), "x.rollcall")
	w := create(t, path, recording.Options{})
	for _, e := range es {
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
		if e.Seq == 4 {
			if err := w.Keyframe(recording.Keyframe{At: w.Position(), Kind: "state", Version: 1, Data: []byte("a state")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return es, whole
}

// all opens the recording that b is, reads all of it and verifies it.
func all(t *testing.T, b []byte) (es []events.Event, torn *recording.Torn, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "y.rollcall")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return allOf(path)
}

func allOf(path string) (es []events.Event, torn *recording.Torn, err error) {
	r, err := recording.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if es, err = read(r, r.Before().Seq); err != nil {
		return es, r.Torn(), err
	}
	for _, k := range r.Keyframes() {
		if _, err := r.Keyframe(k); err != nil {
			return es, r.Torn(), err
		}
	}
	return es, r.Torn(), r.Verify(context.Background(), nil)
}

// TestEveryBit flips every bit of a small recording: each is found, and what is
// read before it is found is what was written.
func TestEveryBit(t *testing.T) {
	es, whole := small(t)
	path := filepath.Join(t.TempDir(), "y.rollcall")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(whole); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(whole) {
		b := []byte{whole[bit/8] ^ 1<<(bit%8)}
		if _, err := f.WriteAt(b, int64(bit/8)); err != nil {
			t.Fatal(err)
		}
		got, torn, err := allOf(path)
		if err == nil {
			t.Fatalf("bit %d of byte %d of %d is not found; torn %v", bit%8, bit/8, len(whole), torn)
		}
		wantCode(t, err, "E-REC-DAMAGED", events.ExitHalt)
		wantSame(t, got, es[:len(got)])
		if _, err := f.WriteAt(whole[bit/8:bit/8+1], int64(bit/8)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bits flipped, all found", 8*len(whole))
}

// TestEveryTear cuts a small recording after every byte: it is read up to the
// tear, which is said; what is missing is known. If not one block is whole, there is
// nothing to read, and it is refused.
func TestEveryTear(t *testing.T) {
	es, whole := small(t)
	path := filepath.Join(t.TempDir(), "y.rollcall")
	reads, refused := map[int]bool{}, false
	for n := len(whole) - 1; n >= 0; n-- {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got, torn, err := allOf(path)
		if err != nil {
			code, exit := "E-REC-TORN", events.ExitHalt
			if n < 4 {
				code, exit = "E-REC-NONE", events.ExitInput
			}
			wantCode(t, err, code, exit)
			refused = true
			continue
		}
		wantSame(t, got, es[:len(got)])
		if refused {
			t.Fatalf("%d events are read of %d bytes, and nothing of more", len(got), n)
		}
		if torn == nil || int(torn.Last) != len(got) || int(torn.Missing) != len(es)-len(got) || torn.Size != int64(n) {
			t.Fatalf("%d bytes, %d events: torn %+v", n, len(got), torn)
		}
		reads[len(got)] = true
	}
	if reads[0] || !reads[4] || !reads[8] {
		t.Errorf("what was read of torn files: %v", reads)
	}
}

// TestTornAndDamaged: damage before a tear is not taken for the tear, and what
// follows the end of a recording is damage.
func TestTornAndDamaged(t *testing.T) {
	_, whole := small(t)
	for _, at := range []int{100, 4300, 4400, 4600} {
		b := bytes.Clone(whole[:len(whole)-10])
		b[at] ^= 4
		_, _, err := all(t, b)
		wantCode(t, err, "E-REC-DAMAGED", events.ExitHalt)
	}
	for _, more := range [][]byte{{0}, whole[:100], make([]byte, 1000), []byte("more")} {
		_, _, err := all(t, append(bytes.Clone(whole), more...))
		wantCode(t, err, "E-REC-DAMAGED", events.ExitHalt)
	}
}

// TestUnfinished: what a writer had written when it was killed is a torn
// recording of which nobody knows the end.
func TestUnfinished(t *testing.T) {
	dir := t.TempDir()
	w := create(t, filepath.Join(dir, "x.rollcall"), recording.Options{})
	for _, e := range sample(t, 1500, 3000) {
		if err := w.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".x.rollcall-*"))
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	got, torn, err := allOf(left[0])
	if err != nil || torn == nil || len(got) < 1000 || len(got) == 1500 || torn.Missing != 0 || int(torn.Last) != len(got) {
		t.Errorf("%d events, torn %+v, %v", len(got), torn, err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// TestNoRecording: what is no recording at all is refused with the input's exit
// code, in one line.
func TestNoRecording(t *testing.T) {
	var foreign bytes.Buffer
	z := zip.NewWriter(&foreign)
	for _, name := range []string{"readme.txt", "manifest.json"} {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": {}, "text": []byte("hello, world\n"), "zeros": make([]byte, 10000), "a zip": foreign.Bytes(),
		"an empty zip": append([]byte("PK\x05\x06"), make([]byte, 18)...), "random": bytes.Repeat([]byte{0x50, 0x4b, 3, 4, 0xff}, 999)} {
		t.Run(name, func(t *testing.T) {
			_, _, err := all(t, b)
			wantCode(t, err, "E-REC-NONE", events.ExitInput)
		})
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing"), pipe} {
		_, err := recording.Open(path)
		wantCode(t, err, "E-REC-NONE", events.ExitInput)
	}
}

// TestNewer: a recording of a newer format is told from a damaged one, whatever
// else there is of it.
func TestNewer(t *testing.T) {
	_, whole := small(t)
	b := bytes.Replace(whole, []byte(`"format": 1`), []byte(`"format": 9`), 1)
	binary.LittleEndian.PutUint32(b[14:], crc32.ChecksumIEEE(b[30+13+100:][:4096]))
	for _, n := range []int{len(b), 5000} {
		_, _, err := all(t, b[:n])
		wantCode(t, err, "E-REC-VERSION", events.ExitInput)
	}
}

// TestZip: other programs read a recording as the zip that it is.
func TestZip(t *testing.T) {
	for _, c := range recording.Compressions {
		path := write(t, recording.Options{Compression: c}, sample(t, 1000, 2000))
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		z.RegisterDecompressor(uint16(recording.Zstd), zstd.ZipDecompressor())
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, in); err != nil || n != int64(f.UncompressedSize64) {
				t.Errorf("%s: %d bytes, %v", f.Name, n, err)
			}
		}
		if err := z.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzOpen reads whatever there is as a recording: what is not one is refused,
// and takes no more memory than a recording may.
func FuzzOpen(f *testing.F) {
	es := sample(f, 3, 300)
	for _, c := range recording.Compressions {
		path := write(f, recording.Options{Compression: c}, es)
		whole, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(whole)
		f.Add(whole[:len(whole)-9])
		f.Add(whole[:4500])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, torn, err := allOf(path)
		var e *events.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%d events, torn %v: %v has no code", len(got), torn, err)
		}
	})
}
