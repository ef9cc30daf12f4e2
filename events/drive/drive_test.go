package drive_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
)

// mailbox is a party that hears from elsewhere than the log.
type mailbox struct {
	full bool
	took int
}

func (m *mailbox) Observe(events.Event, time.Time) {}

func (m *mailbox) Next() (time.Time, bool) { return time.Time{}, m.full }

func (m *mailbox) Due(time.Time, int) []drive.Step {
	m.full = false
	return []drive.Step{letter{}}
}

func (m *mailbox) Done(drive.Step, error, time.Time) { m.took++ }

type letter struct{}

func (letter) Perform(context.Context, drive.Log) error { return nil }

// A party that hears from elsewhere is asked when it says so, though nothing
// is appended.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelf(t)
		ctx, cancel := context.WithCancel(t.Context())
		wake := make(chan struct{})
		m := &mailbox{}
		done := make(chan error)
		go func() { done <- drive.Drive(ctx, h.log, drive.Options{Wake: wake}, m) }()
		synctest.Wait()
		m.full = true
		<-time.After(time.Hour)
		if m.took != 0 {
			t.Error("it was asked before it said so")
		}
		wake <- struct{}{}
		synctest.Wait()
		if m.took != 1 {
			t.Errorf("%d letters taken, want 1", m.took)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}
