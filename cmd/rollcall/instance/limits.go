package instance

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openFiles returns how many files this process may have open; the runtime has
// raised the soft limit to the hard one.
func openFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 1024 // the usual one
	}
	return l.Cur
}

// How watches are bounded if --max-watches does not say it.
const (
	watchShare  = 8         // an eighth of the memory there is
	watchMemory = 512 << 10 // of one that has a connection of its own
	leastWatch  = 100       // whatever the memory
	mostWatch   = 10_000    // as much as one process serves in time
)

// watchLimit returns how many watches fit into memory.
func watchLimit(memory uint64) int {
	return int(min(max(memory/watchShare/watchMemory, leastWatch), mostWatch))
}

// memoryThere returns how much memory this process may use: the least of
// GOMEMLIMIT, the limit of its control group and what the machine has.
func memoryThere() uint64 {
	least := uint64(math.MaxInt64)
	if l := debug.SetMemoryLimit(-1); l < math.MaxInt64 {
		least = uint64(l)
	}
	for _, path := range controlGroupFiles() {
		if n, ok := readNumber(path); ok {
			least = min(least, n)
		}
	}
	if n, ok := machineMemory(); ok {
		least = min(least, n)
	}
	return least
}

// machineMemory returns how much memory the machine has, where the system tells
// it in Linux' way.
func machineMemory() (uint64, bool) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(b), "MemTotal:")
	kB, err := strconv.ParseUint(strings.Fields(rest + " -")[0], 10, 64)
	return kB << 10, err == nil
}

// controlGroupFiles are where the memory limit of this process may be, of both
// versions of control groups.
func controlGroupFiles() []string {
	const root = "/sys/fs/cgroup"
	files := []string{root + "/memory.max", root + "/memory/memory.limit_in_bytes"}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			files = append(files, filepath.Join(root, path, "memory.max"))
		}
	}
	return files
}

func readNumber(path string) (uint64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil // "max" is none
}
