package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/keyframes"
	"rollcall/events/recording"
)

// scriptHolds tells whether a text, or its base64, stands in the bytes of files: as
// they are, and as their blocks and keyframes unpack.
func scriptHolds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] holds FILE-OR-DIRECTORY TEXT")
	}
	where, parts, looked := "", 0, map[string]bool{}
	err := eachBytes(ts.MkAbs(args[0]), func(of, kind string, b []byte) {
		parts++
		looked[kind] = true
		if bytes.Contains(b, []byte(args[1])) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString([]byte(args[1])))) {
			where = of
		}
	})
	ts.Check(err)
	if !looked["event"] || looked["file"] && !looked["keyframe"] {
		ts.Fatalf("no event, or no keyframe, was looked at")
	}
	if (where != "") == neg {
		ts.Fatalf("%q was found: %v, %s, in %d parts", args[1], !neg, where, parts)
	}
}

// eachBytes calls look with all that a recording or a data directory holds.
func eachBytes(path string, look func(of, kind string, b []byte)) error {
	ctx := context.Background()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return eachOfDirectory(ctx, path, look)
	}
	r, err := recording.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for e, err := range r.Read(ctx, r.Before().Seq) {
		if err != nil {
			return err
		}
		look(fmt.Sprintf("event %d", e.Seq), "event", e.Raw)
	}
	for _, info := range r.Keyframes() {
		k, err := r.Keyframe(info)
		if err != nil {
			return err
		}
		look(fmt.Sprintf("keyframe %d", k.At.Seq), "keyframe", k.Data)
	}
	return nil
}

func eachOfDirectory(ctx context.Context, dir string, look func(of, kind string, b []byte)) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, "file", b)
		return err
	})
	if err != nil {
		return err
	}
	subjects, err := events.NewSubjects(datadir.DefaultCluster)
	if err != nil {
		return err
	}
	checked, err := datadir.Open(ctx, dir, subjects, datadir.Reading{Begun: func(func() string) func() { return func() {} }, Whole: true})
	if err != nil {
		return err
	}
	log := checked.Store()
	info, err := log.Info(ctx)
	if err != nil {
		return err
	}
	for e, err := range log.Read(ctx, info.Before) {
		if err != nil {
			return err
		}
		look(fmt.Sprintf("event %d", e.Seq), "event", e.Raw)
	}
	objects, err := blocks.OpenObjects(ctx, dir, subjects, keyframes.Bucket)
	if err != nil {
		return err
	}
	store := keyframes.Open(objects)
	frames, err := store.List(ctx)
	for _, f := range frames {
		k, err := store.Get(ctx, f)
		if err != nil {
			return err
		}
		look(fmt.Sprintf("keyframe %d", f.Seq), "keyframe", k.State)
	}
	return err
}
