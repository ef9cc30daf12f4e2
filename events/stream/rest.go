package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// restWindow is for how long the server knows an id while a log rests: the least that
// it takes.
const restWindow = 100 * time.Millisecond

// errResting is why nothing is appended to a log that rests.
var errResting = errors.New("the log is closed: its instance has ended")

// Rest ends the writing of a log whose server ends next, in the same process: no
// writer is left who could send an event a second time, so that the server need not
// know the last ids when it starts again. It reads all events of the last ten minutes
// for them, which is most of the time that a start takes after much has happened.
// Appends are refused from now on. Open with Options.Own ends the rest.
func (l *Log) Rest(ctx context.Context) error {
	l.resting.Store(true)
	return l.window(ctx, restWindow)
}

// wake has the server know ids again, if the log was left at rest.
func (l *Log) wake(ctx context.Context, have *jetstream.StreamInfo) (*jetstream.StreamInfo, error) {
	if have.Config.Duplicates != restWindow {
		return have, nil
	}
	if err := l.window(ctx, duplicates); err != nil {
		return nil, err
	}
	return l.look(ctx)
}

// window sets for how long the server knows an id.
func (l *Log) window(ctx context.Context, d time.Duration) error {
	have, err := l.look(ctx)
	if err != nil {
		return err
	}
	c := have.Config
	c.Duplicates = d
	if _, err := l.js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("set the duplicate window of stream %s: %w", c.Name, err)
	}
	return nil
}
