package natsd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"rollcall/events"
)

// smallDisk mounts a file system of the given size, or skips the test where that
// is not permitted.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted here (%v); it takes root", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes bytes of a disk, all that are left if n is 0, and returns what gives
// them back.
func fill(t *testing.T, disk string, n int) (giveBack func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for written := 0; n == 0 || written < n; written += len(block) {
		_, err = f.Write(block)
		if errors.Is(err, unix.ENOSPC) && n == 0 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// eventually waits for a condition as long as the test may run.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	give := time.NewTimer(patience)
	defer give.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-give.C:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// The disk is the only limit of a store, also where most of it is the log.
//
// finding H8
func TestOnlyTheDiskLimitsTheStore(t *testing.T) {
	disk := smallDisk(t, "64m")
	dir := filepath.Join(disk, "data")
	s := mustStart(t, Options{Dir: dir, Durability: Relaxed})
	nc := mustConnect(t, s.Connect)
	js := logStream(t, nc)
	fact := make([]byte, 1<<20)
	for range 34 {
		if _, err := js.Publish(t.Context(), "rollcall.test.pod.default.x", fact); err != nil {
			t.Fatal(err)
		}
	}
	nc.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustStart(t, Options{Dir: dir, Durability: Relaxed})
	if c := s.ns.JetStreamConfig(); c.MaxStore < 1<<60 {
		t.Errorf("the store is limited to %d bytes", c.MaxStore)
	}
	js, err := jetstream.New(mustConnect(t, s.Connect))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Room(int64(len(fact))); err != nil {
		t.Errorf("30 MiB are free: %v", err)
	}
	if _, err := js.Publish(t.Context(), "rollcall.test.pod.default.x", fact); err != nil {
		t.Errorf("a write where 30 MiB are free: %v", err)
	}
	if a, err := js.AccountInfo(t.Context()); err != nil || a.Limits.MaxStore != -1 {
		t.Errorf("the account of the log may store %+v (%v), want no limit", a.Limits, err)
	}
}

func TestRoom(t *testing.T) {
	disk := smallDisk(t, "16m")
	if err := room(disk, 0); err != nil {
		t.Errorf("an empty disk: %v", err)
	}
	wantCode(t, room(disk, 15<<20), "E-LOG-FULL", events.ExitFailure)
	giveBack := fill(t, disk, 15<<20)
	err := room(disk, 0)
	wantCode(t, err, "E-LOG-FULL", events.ExitFailure)
	if !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("%v is not one that passes", err)
	}
	giveBack()
	if err := room(disk, 0); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if err := room(filepath.Join(disk, "gone"), 0); err == nil {
		t.Error("a directory that is gone has room")
	}
}

// Where others take the last bytes under the server's hands, it stops to write
// for good. It is opened again when there is room, and what it had acknowledged
// is there.
//
// finding H7
func TestStoreIsOpenedAgain(t *testing.T) {
	disk := smallDisk(t, "32m")
	s := mustStart(t, Options{Dir: filepath.Join(disk, "data")})
	nc := mustConnect(t, s.Connect)
	js := logStream(t, nc)
	acked := uint64(0)
	publish := func() error {
		m := nats.NewMsg("rollcall.test.pod.default.x")
		m.Data = fmt.Appendf(nil, "%d %65536s", acked+1, "")
		_, err := js.PublishMsg(t.Context(), m, jetstream.WithRetryAttempts(0))
		return err
	}
	for range 20 {
		if err := publish(); err != nil {
			t.Fatal(err)
		}
		acked++
	}
	giveBack := fill(t, disk, 0)
	// No room was asked for, so that the server itself meets the end of the disk.
	if err := nc.Publish("rollcall.test.pod.default.x", make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a write error of the server", s.broken.Load)
	wantCode(t, s.Room(0), "E-LOG-FULL", events.ExitFailure)
	giveBack()
	eventually(t, "an end of the rescue", func() bool { return !s.broken.Load() })
	if err := s.Room(0); err != nil {
		t.Fatal(err)
	}
	if err := publish(); err != nil {
		t.Fatalf("a write after there is room again: %v", err)
	}
	st, err := js.Stream(t.Context(), "ROLLCALL_test")
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= acked; seq++ {
		m, err := st.GetMsg(t.Context(), seq)
		if err != nil || string(m.Data[:len(fmt.Sprint(seq))]) != fmt.Sprint(seq) {
			t.Fatalf("position %d, which was acknowledged: %v", seq, err)
		}
	}
}
