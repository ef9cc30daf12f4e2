package instance

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReleasable: of all that is mapped only what can be had from the program's
// file again is dropped, since anything else would be lost.
func TestReleasable(t *testing.T) {
	piece := func(addresses, perms, file string, written ...string) string {
		lines := []string{addresses + " " + perms + " 00001000 fe:00 42    " + file, "Rss:  100 kB", "Private_Clean: 100 kB"}
		for _, key := range []string{"Private_Dirty", "Anonymous", "Swap"} {
			n := "0"
			if slices.Contains(written, key) {
				n = "4"
			}
			lines = append(lines, key+":   "+n+" kB")
		}
		return strings.Join(append(lines, "VmFlags: rd mr mw me"), "\n") + "\n"
	}
	const program = "/opt/roll call/rollcall (deleted)"
	smaps := piece("00400000-00500000", "r-xp", program) +
		piece("00500000-00600000", "r--p", program, "Private_Dirty") + // the file is not on the disk yet
		piece("00600000-00700000", "rw-p", program) +
		piece("00700000-00800000", "r--p", program, "Private_Dirty", "Anonymous") + // addresses that were moved
		piece("00800000-00900000", "r-xp", program, "Anonymous") + // a breakpoint
		piece("00900000-00a00000", "r--p", program, "Swap") +
		piece("7f0000000000-7f0000001000", "r-xp", "/lib/libc.so.6") +
		piece("7f0000001000-7f0000002000", "r--p", "/other"+program) +
		piece("7f0000002000-7f0000003000", "r-xp", "") +
		piece("nothing-of it", "r-xp", program) + "cut off"
	got := releasable(strings.NewReader(smaps), program)
	if want := []mapping{{0x400000, 0x500000}, {0x500000, 0x600000}}; !slices.Equal(got, want) {
		t.Errorf("dropped would be %x, want %x", got, want)
	}
}

// TestReleasePages: the process goes on with less of its file.
func TestReleasePages(t *testing.T) {
	before := residentFile(t)
	releasePages()
	if after := residentFile(t); after > before/2 {
		t.Errorf("%d kB of files are resident, %d before", after, before)
	}
}

func residentFile(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
