package main

import (
	"encoding/binary"
	"os"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

func scriptKill(ts *testscript.TestScript, neg bool, args []string) {
	scriptEnd(ts, scriptProcess(ts, neg, args, 1), "-1", syscall.SIGKILL)
}

func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(path, b, 0o600))
}

// scriptTear appends the first bytes of the record that would be the next one
// of a block.
func scriptTear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tear FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	last := 0
	for at := 0; at < len(b); at += int(binary.LittleEndian.Uint32(b[at:]) &^ (1 << 31)) {
		last = at
	}
	begun := append([]byte(nil), b[last:last+25]...)
	binary.LittleEndian.PutUint64(begun[4:], binary.LittleEndian.Uint64(begun[4:])+1)
	ts.Check(os.WriteFile(path, append(b, begun...), 0o600))
}
