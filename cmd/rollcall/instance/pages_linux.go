package instance

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mapping is a piece of the address space into which a file is mapped.
type mapping struct{ from, to uintptr }

// releasePages takes the pages of the program's own file out of the process. A
// start runs the beginnings of two thousand packages, each of which the kernel
// answers with 64 KB of the file or more, and none of which is needed again. The
// pages stay in the kernel's cache: what is still needed comes back by a fault
// without a read, as long as the system has memory for it. A kernel that does not
// say what is mapped keeps the pages where they are.
func releasePages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range releasable(f, program) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// releasable reads the mappings of a file, in the format of /proc/PID/smaps, whose
// pages can all be had from the file again: they cannot be written to, and none has
// been, by a linker that moved addresses or by a debugger. Were one dropped that has
// been, what was written would be lost.
func releasable(smaps io.Reader, file string) (all []mapping) {
	var m mapping
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if key, ok := strings.CutSuffix(fields[0], ":"); ok {
			written := (key == "Anonymous" || key == "Swap") && fields[1] != "0"
			ours = ours && !written
			if ours && key == "VmFlags" { // the last line of each
				all = append(all, m)
			}
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		a, errFrom := strconv.ParseUint(from, 16, 64)
		b, errTo := strconv.ParseUint(to, 16, 64)
		m = mapping{uintptr(a), uintptr(b)}
		ours = errFrom == nil && errTo == nil && strings.HasPrefix(fields[1], "r-") && strings.HasSuffix(lines.Text(), " "+file)
	}
	return all
}
