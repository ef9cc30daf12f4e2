package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"rollcall/cmd/rollcall/instance"
	"rollcall/cmd/rollcall/page"
	"rollcall/events"
	"rollcall/events/files"
)

// exportPage makes a page with a recording in it. The answers in it are those of that
// recording, so that they show nothing that is left out of it.
func (s *session) exportPage(ctx context.Context, a *archive, cluster, path string, o exportOptions) error {
	dir, err := os.MkdirTemp("", "rollcall-page-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + recordingSuffix
	file := filepath.Join(dir, name)
	if err := s.export(ctx, a, cluster, file, o); err != nil {
		return err
	}
	b := page.Bundle{Name: name}
	if b.Recording, err = os.ReadFile(file); err != nil {
		return err
	}
	r, err := (&target{recs: []string{file}}).openRecording(ctx, s)
	if err != nil {
		return err
	}
	b.Redacted = r.rec.redacted()
	r.close()
	done := s.Progress("asking what the page is to answer", nil)
	defer done()
	defer allowGarbage()()
	version, _ := built()
	t := &target{recs: []string{file}, cluster: cluster}
	out, err := page.WriteBundle(ctx, page.Config{Open: t.opens(s, false), Cluster: cluster, Target: "--rec " + instance.QuoteShell(name), Version: version}, b)
	if err != nil {
		return err
	}
	if err := files.Create(path, out); err != nil {
		return &events.Error{Code: "E-CLI-FILE", What: "the page cannot be written", Where: path, Why: files.Reason(err), Exit: events.ExitInput, Err: err}
	}
	done()
	s.out.printf("page       %s, %s: open it in a browser\nrecording  %s, %s: it is in the page, and can be saved out of it\n", path, bytesText(int64(len(out))), name, bytesText(int64(len(b.Recording))))
	if b.Redacted != "" {
		s.out.printf("redacted   %s\n", b.Redacted)
	}
	return nil
}
