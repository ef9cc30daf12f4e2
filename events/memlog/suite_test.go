package memlog_test

import (
	"testing"

	"rollcall/events"
	"rollcall/events/logtest"
	"rollcall/events/memlog"
)

func TestLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Harness {
		l := newLog(t)
		return logtest.Harness{
			Log:   l,
			Other: func(*testing.T) events.Log { return l },
			LoseAck: func(*testing.T) {
				lost := false
				l.Inject(func([]events.Entry) memlog.Fault {
					if lost {
						return memlog.None
					}
					lost = true
					return memlog.LoseAck
				})
			},
			AppendRaw: func(_ *testing.T, subject string, raw []byte) { l.AppendRaw(subject, raw) },
			Remove:    func(_ *testing.T, seq events.Seq) { l.Remove(seq) },
			Recreate:  func(*testing.T) { l.Recreate() },
		}
	})
}
