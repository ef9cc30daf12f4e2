// Package drivetest lets tests perform steps at a time that they choose.
package drivetest

import (
	"context"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
)

// At returns the log as a writer sees it for whom it is now. Pauses are not
// waited for.
func At(now time.Time, log events.Log) drive.Log { return drive.Log{Log: log, Clock: still{now}} }

type still struct{ now time.Time }

func (s still) Now() time.Time { return s.now }

func (s still) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
