package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"rollcall/events"
	"rollcall/events/chain"
)

// TestWitness: what was saved is loaded, also over what a killed writer left;
// what is damaged is refused and not taken for nothing.
func TestWitness(t *testing.T) {
	dir := t.TempDir()
	if w, err := loadWitness(dir); err != nil || w.position.Seq != 0 || w.of("x") {
		t.Errorf("an empty directory gives %+v, %v", w, err)
	}
	at := chain.Position{Log: "x@1", Seq: 77, Chain: [32]byte{1, 2, 31: 9}}
	synced := chain.Position{Log: "x@1", Seq: 70, Chain: [32]byte{3}}
	for _, relaxed := range []bool{false, true} {
		if err := savePosition(dir, at, synced, relaxed); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ackedFile), ackedLine("x@1", 79), 0o600); err != nil {
			t.Fatal(err)
		}
		want := witness{position: at, synced: at, relaxed: relaxed, ackedLog: "x@1", acked: 79}
		if relaxed {
			want.synced = synced
		}
		w, err := loadWitness(dir)
		if err != nil || w.position != want.position || w.synced != want.synced || w.relaxed != want.relaxed || w.acked != want.acked || !w.of("x") || w.of("y") {
			t.Errorf("loaded %+v, %v; want %+v", w, err, want)
		}
	}
	chain := `"chain":"` + "0000000000000000000000000000000000000000000000000000000000000000" + `"`
	for file, texts := range map[string][]string{
		PositionFile: {"", "{", `{"log":"x","seq":1,"chain":"00"}`, `{"log":"x","seq":-1}`, `{"log":"x@1","seq":1,` + chain + `,"mode":"rync"}`,
			`{"log":"x@1","seq":1,` + chain + `,"mode":"relaxed"}`, `{"log":"x@1","seq":1,` + chain + `,"mode":"sync","synced":{"seq":1,` + chain + `}}`,
			`{"log":"x@1","seq":1,` + chain + `,"mode":"relaxed","synced":{"seq":2,` + chain + `}}`, `{"log":"x@1","sep":1,` + chain + `}`},
		ackedFile: {"", "x", "x@1 1 00000000\n", string(ackedLine("x@1", 5)) + " "},
	} {
		for _, text := range texts {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var e *events.Error
			if _, err := loadWitness(dir); !errors.As(err, &e) || e.Code != "E-STORE-FILE" || e.Exit != events.ExitHalt {
				t.Errorf("%s of %q is loaded: %v", file, text, err)
			}
		}
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSealed: a file of sealed blocks that is damaged says nothing.
func TestSealed(t *testing.T) {
	dir := t.TempDir()
	list := []sealedBlock{{1, 10, "ab", "01"}, {2, 20, "cd", ""}}
	if err := saveSealed(dir, "x@1", list); err != nil {
		t.Fatal(err)
	}
	if got := loadSealed(dir, "x@1"); len(got) != 2 || got[1] != list[1] {
		t.Errorf("loaded %v", got)
	}
	if got := loadSealed(dir, "x@2"); got != nil {
		t.Errorf("those of another log: %v", got)
	}
	path := filepath.Join(dir, sealedFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := loadSealed(dir, "x@1"); len(got) != 0 && (len(got) != 2 || got[0] != list[0] || got[1] != list[1]) {
			t.Errorf("byte %d flipped: %v", i, got)
		}
	}
}
