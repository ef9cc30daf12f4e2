package stream

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rollcall/events"
	"rollcall/events/natsd"
)

// fillDisk takes all bytes of a disk and returns what gives them back.
func fillDisk(t *testing.T, disk string) (giveBack func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if err := f.Close(); !errors.Is(err, unix.ENOSPC) && err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// smallDisk mounts a disk of 48 MiB until the test ends.
func smallDisk(t *testing.T) (disk string) {
	t.Helper()
	disk = t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("a small disk cannot be mounted here (%v); it takes root", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// follow sends what comes until the test ends. An error before is one of the test.
func follow[T any](t *testing.T, what string, all iter.Seq2[T, error]) <-chan T {
	came := make(chan T, 100)
	go func() {
		for x, err := range all {
			if err != nil {
				if t.Context().Err() == nil {
					t.Errorf("%s: %v", what, err)
				}
				return
			}
			came <- x
		}
	}()
	return came
}

// posts waits until a bucket that is watched has a key.
func posts(watched <-chan events.KVEntry, key string) {
	for e := range watched {
		if e.Key == key {
			return
		}
	}
}

// On a disk that another program fills, also under the server's hands, appends
// are refused at once, and log, readers and buckets go on by themselves when there
// is room.
//
// finding H7
func TestFullDisk(t *testing.T) {
	t.Parallel() // it mostly waits
	disk := smallDisk(t)
	s := mustServer(t, natsd.Options{Dir: filepath.Join(disk, "data")})
	nc := mustConnect(t, s)
	l, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true, Room: s.Room})
	if err != nil {
		t.Fatal(err)
	}
	// A bucket is on the disk of its log: one in memory is for a log in memory.
	bucket, err := OpenKV(t.Context(), nc, l.subjects, KVOptions{Name: "file", Health: l.Health})
	if err != nil {
		t.Fatal(err)
	}
	watched := follow(t, "watch of the bucket", bucket.Watch(t.Context()))
	if _, err := bucket.Put(t.Context(), "before", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	posts(watched, "before")
	read := follow(t, "tail", l.Tail(t.Context(), 0))
	acked := appendUntilTaken(t, l, 1)
	giveBack := fillDisk(t, disk)
	_, err = l.Append(t.Context(), events.Entry{Event: node("a", 1000)})
	wantCode(t, err, "E-LOG-FULL")
	_, err = bucket.Put(t.Context(), "full", []byte("1"), 0)
	wantCode(t, err, "E-LOG-FULL")
	// Past the look at the room, as if the disk had filled up after it.
	if err := nc.Publish(l.subjects.Object(events.Node, events.Key{Name: "a"}), make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a write error of the server", func() bool { return strings.Contains(fmt.Sprint(s.Room(0)), "opened again") })
	wantCode(t, l.Health(), "E-LOG-FULL")
	giveBack()
	eventually(t, "health", func() bool { return l.Health() == nil })
	acked = appendUntilTaken(t, l, acked+1)
	for want := 1; want <= acked; {
		if e := <-read; e.ID == node("", want).ID {
			want++
		}
	}
	if _, err := bucket.Put(t.Context(), "after", []byte("1"), 0); err != nil {
		t.Fatalf("put on the bucket after the disk was full: %v", err)
	}
	posts(watched, "after")
}
