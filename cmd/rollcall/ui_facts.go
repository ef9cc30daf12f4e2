package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/cmd/rollcall/page"
)

// facts say how the log is kept, and what is beside it.
func (a *archive) facts(ctx context.Context) (all []page.Fact, err error) {
	say := func(name, format string, args ...any) {
		all = append(all, page.Fact{Name: name, Says: fmt.Sprintf(format, args...)})
	}
	if a.rec != nil {
		for _, r := range a.rec {
			m := r.Manifest()
			say("recording", "%d events in %d blocks, %s", m.Events, m.Blocks, map[bool]string{true: "complete", false: "not complete"}[m.Complete])
			say("keyframes", "%s in it", plural(m.Keyframes, "keyframe"))
			if m.Filter != "" {
				say("filter", "%s", m.Filter)
			}
		}
	} else {
		info, err := a.Info(ctx)
		if err != nil {
			return nil, err
		}
		say("stream", "%s, #%d to #%d", a.subjects.Stream(), info.Before+1, info.Last)
		store, err := a.store(ctx)
		if err != nil {
			return nil, err
		}
		frames, err := store.List(ctx)
		if err != nil {
			return nil, err
		}
		text := "none yet: the state is folded from the first event"
		if n := len(frames); n > 0 {
			text = fmt.Sprintf("%s beside the log, the newest of #%d, made %s", plural(n, "keyframe"), frames[n-1].Seq, frames[n-1].Made.UTC().Format(time.RFC3339))
		}
		say("keyframes", "%s", text)
	}
	if text := a.checkedText(); text != "" {
		say("checked", "%s", text)
	}
	return all, nil
}
