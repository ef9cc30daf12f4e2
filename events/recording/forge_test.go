package recording

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rollcall/events"
	"rollcall/events/chain"
)

// forged is a recording that somebody makes by hand: its parts are as they are
// given, and all checksums fit.
func forged(t *testing.T, m Manifest, parts ...forgedPart) string {
	t.Helper()
	b, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	var entries []entry
	for _, p := range append([]forgedPart{{entry{part: manifestPart, name: manifestName, crc: crc32.ChecksumIEEE(b), size: uint32(len(b)), stored: uint32(len(b))}, b}}, parts...) {
		e := p.entry
		e.offset = int64(len(file))
		head := e.header()
		e.sum = sumOf(head, p.data)
		file = append(append(append(file, head...), e.sum[:]...), p.data...)
		entries = append(entries, e)
	}
	file = appendDirectory(file, entries, int64(len(file)))
	path := filepath.Join(t.TempDir(), "forged.rollcall")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type forgedPart struct {
	entry
	data []byte
}

// forgedBlock is a block of one event whose bytes are packed as they are given.
func forgedBlock(t *testing.T, data []byte, change func(*entry)) forgedPart {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := z.EncodeAll(data, nil)
	e := entry{part: blockPart, name: blockName(1), compression: Zstd, first: 1, last: 1, from: 5, to: 5,
		crc: crc32.ChecksumIEEE(data), size: uint32(len(data)), stored: uint32(len(packed))}
	change(&e)
	return forgedPart{e, packed}
}

// TestForged: a file whose checksums all fit is believed no further than what it
// says can be. Nothing larger than the limits is ever made room for.
func TestForged(t *testing.T) {
	one := chain.AppendRecord(nil, events.Event{Seq: 1, Stored: clock(5), Subject: "a.b", Raw: []byte("event")})
	m := Manifest{Cluster: "x", First: Mark{Seq: 1}, Last: Mark{Seq: 1}, Events: 1, Blocks: 1, Complete: true}
	long := bytes.Clone(one)
	copy(long[18:], []byte{0xff, 0xff, 0xff, 0xff})
	subject := bytes.Clone(one)
	copy(subject[16:], []byte{0xff, 0xff})
	terabyte := make([]byte, 64<<20) // of zeros: 6 kB packed
	for name, c := range map[string]struct {
		data   []byte
		change func(*entry)
		code   string
		exit   int
	}{
		"as it should be":               {one, func(*entry) {}, "", 0},
		"a block of 2^32 bytes":         {one, func(e *entry) { e.size = 1<<32 - 1 }, "E-REC-LIMIT", events.ExitInput},
		"a packed block of 2^32 bytes":  {one, func(e *entry) { e.stored = 1<<32 - 1 }, "E-REC-LIMIT", events.ExitInput},
		"a block that says 64 MiB":      {terabyte, func(*entry) {}, "E-REC-LIMIT", events.ExitInput},
		"a block that says less":        {append(bytes.Clone(one), one...), func(e *entry) { e.size = uint32(len(one)) }, "E-REC-DAMAGED", events.ExitHalt},
		"a block that says more":        {one, func(e *entry) { e.size = maxBlock }, "E-REC-DAMAGED", events.ExitHalt},
		"another crc":                   {one, func(e *entry) { e.crc++ }, "E-REC-DAMAGED", events.ExitHalt},
		"events without bytes":          {one, func(e *entry) { e.last = 1 << 40 }, "E-REC-DAMAGED", events.ExitHalt},
		"an event of 2^32 bytes":        {long, func(*entry) {}, "E-REC-DAMAGED", events.ExitHalt},
		"a subject of 2^16 bytes":       {subject, func(*entry) {}, "E-REC-DAMAGED", events.ExitHalt},
		"an event at another position":  {append([]byte{2}, one[1:]...), func(*entry) {}, "E-REC-DAMAGED", events.ExitHalt},
		"an event at another time":      {one, func(e *entry) { e.from, e.to = 6, 6 }, "E-REC-DAMAGED", events.ExitHalt},
		"half an event":                 {one[:10], func(*entry) {}, "E-REC-DAMAGED", events.ExitHalt},
		"a block of another name":       {one, func(e *entry) { e.name = blockName(2) }, "E-REC-DAMAGED", events.ExitHalt},
		"a part of another name":        {one, func(e *entry) { e.name = "../../etc/passwd" }, "E-REC-DAMAGED", events.ExitHalt},
		"packed in another way":         {one, func(e *entry) { e.compression = 12 }, "E-REC-DAMAGED", events.ExitHalt},
		"another chain":                 {one, func(e *entry) { e.chain[0] = 1 }, "E-REC-DAMAGED", events.ExitHalt},
		"a block that begins elsewhere": {one, func(e *entry) { e.name, e.first, e.last = blockName(7), 7, 7 }, "E-REC-DAMAGED", events.ExitHalt},
	} {
		t.Run(name, func(t *testing.T) {
			p := forgedBlock(t, c.data, c.change)
			m := m
			if c.code == "" {
				m.Last.Chain = chainOf("event")
				p.chain = m.Last.Chain
			}
			err := readAll(t, forged(t, m, p))
			var e *events.Error
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
			} else if !errors.As(err, &e) || e.Code != c.code || e.Exit != c.exit {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func readAll(t *testing.T, path string) error {
	r, err := Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, err := range r.Read(t.Context(), 0) {
		if err != nil {
			return err
		}
	}
	return r.Verify(t.Context(), nil)
}

// TestBomb: a file that says of itself that it unpacks to a terabyte is refused
// before any of it is unpacked.
func TestBomb(t *testing.T) {
	zeros := make([]byte, 4<<20)
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := z.EncodeAll(zeros, nil)
	var parts []forgedPart
	for i := range 1 << 10 { // each a keyframe of a gigabyte and more
		e := entry{part: keyframePart, name: keyframePrefix + blockName(1)[len(blockPrefix):] + ".bomb." + string(rune('1'+i%9)), compression: Zstd,
			first: 1, last: 1, crc: crc32.ChecksumIEEE(zeros), size: maxKeyframe + 1, stored: uint32(len(packed))}
		parts = append(parts, forgedPart{e, packed})
	}
	err = readAll(t, forged(t, Manifest{Complete: true, Keyframes: len(parts)}, parts...))
	var e *events.Error
	if !errors.As(err, &e) || e.Code != "E-REC-LIMIT" || e.Exit != events.ExitInput {
		t.Errorf("got %v", err)
	}
}

func chainOf(raws ...string) chain.Sum {
	c := chain.New("")
	for i, raw := range raws {
		c.Take(events.Seq(i+1), []byte(raw))
	}
	return c.Chain
}
