package replay_test

import (
	"path/filepath"
	"testing"

	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/events/recording"
)

// checkFreed holds what the causes have noted of each command against deciding
// again, event by event.
func checkFreed(t *testing.T, log replay.Log) (commands, freed, unsure int) {
	t.Helper()
	h := open(t, log)
	err := h.Freed(t.Context(), causes(t, h), func(plan events.Seq, noted, found events.Seq) {
		switch commands++; {
		case noted == replay.Unsure:
			unsure++
			return
		case noted != found:
			t.Errorf("#%d: a command of it was freed by #%d, and #%d is noted", plan, found, noted)
		}
		if found > 0 {
			freed++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return commands, freed, unsure
}

// TestFreed: what freed a command is noted while the log is read, and is what
// deciding again finds. Hardly any command is left to be looked at when it is asked
// about.
func TestFreed(t *testing.T) {
	commands, freed, unsure := 0, 0, 0
	count := func(t *testing.T, log replay.Log) {
		c, f, u := checkFreed(t, log)
		t.Logf("%d commands, %d freed by an event, %d to be looked at", c, f, u)
		commands, freed, unsure = commands+c, freed+f, unsure+u
	}
	for seed := range uint64(40) {
		count(t, simtest.Run(seed, simtest.Options{}).Log())
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recordings", "*.rollcall"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		r, err := recording.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		count(t, r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if freed < commands/20 || unsure > commands/20 {
		t.Errorf("of %d commands %d are freed by an event, and %d are not noted", commands, freed, unsure)
	}
}
