package stream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// duplicates is how long the server itself knows an id. It is longer than an
// outage of a writer should last, and costs about 100 bytes an event.
const duplicates = 10 * time.Minute

// config returns the stream of a log: everything is kept, nothing can be taken
// out, and what does not fit is refused. The server compresses each block of 8 MiB
// when it begins the next; the events of one object repeat nearly all of it.
func config(s events.Subjects, o Options) jetstream.StreamConfig {
	storage, compression := jetstream.FileStorage, jetstream.S2Compression
	if o.MemoryStorage {
		storage, compression = jetstream.MemoryStorage, jetstream.NoCompression
	}
	return jetstream.StreamConfig{
		Name:               s.Stream(),
		Description:        "rollcall: the log of cluster " + s.Cluster(),
		Subjects:           []string{s.All()},
		Retention:          jetstream.LimitsPolicy,
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         events.MaxMessage,
		Discard:            jetstream.DiscardNew,
		Storage:            storage,
		Compression:        compression,
		Replicas:           max(o.Replicas, 1), // see create,
		Duplicates:         duplicates,
		DenyDelete:         true,
		DenyPurge:          true,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// setting is one field of a stream that the safety of the log rests on.
type setting struct {
	name       string
	want, have any
}

func settings(want, have jetstream.StreamConfig) []setting {
	return []setting{
		{"subjects", strings.Join(want.Subjects, " "), strings.Join(have.Subjects, " ")},
		{"retention", want.Retention, have.Retention},
		{"storage", want.Storage, have.Storage},
		{"max_msgs", want.MaxMsgs, have.MaxMsgs},
		{"max_bytes", want.MaxBytes, have.MaxBytes},
		{"max_age", want.MaxAge, have.MaxAge},
		{"max_msgs_per_subject", want.MaxMsgsPerSubject, have.MaxMsgsPerSubject},
		{"discard", want.Discard, have.Discard},
		{"duplicate_window", want.Duplicates, have.Duplicates},
		{"no_ack", false, have.NoAck},
		{"sealed", false, have.Sealed},
		{"deny_delete", want.DenyDelete, have.DenyDelete},
		{"deny_purge", want.DenyPurge, have.DenyPurge},
		{"allow_direct", want.AllowDirect, have.AllowDirect},
		{"allow_atomic", want.AllowAtomicPublish, have.AllowAtomicPublish},
		{"allow_rollup_hdrs", false, have.AllowRollup},
		{"allow_msg_ttl", false, have.AllowMsgTTL},
		{"allow_msg_counter", false, have.AllowMsgCounter},
		{"allow_msg_schedules", false, have.AllowMsgSchedules},
		{"persist_mode", want.PersistMode, have.PersistMode},
		{"mirror", false, have.Mirror != nil},
		{"sources", 0, len(have.Sources)},
		{"subject_transform", false, have.SubjectTransform != nil},
		{"republish", false, have.RePublish != nil},
	}
}

// checkConfig returns E-STREAM-CONFIG with every setting of have that is not
// that of want. A longer duplicate window is as good, and so are files where
// memory would do. How large a message may be is widened where it can be, and
// else what is too large is refused.
func checkConfig(want, have jetstream.StreamConfig) error {
	if have.Storage == jetstream.FileStorage {
		want.Storage = have.Storage
	}
	have.Duplicates = min(have.Duplicates, want.Duplicates)
	differ := slices.DeleteFunc(settings(want, have), func(s setting) bool { return s.want == s.have })
	if len(differ) == 0 {
		return nil
	}
	why := make([]string, len(differ))
	for i, d := range differ {
		why[i] = fmt.Sprintf("%s is %v, must be %v", d.name, d.have, d.want)
	}
	return &events.Error{Code: "E-STREAM-CONFIG", What: "the stream is not set as a log must be", Where: have.Name,
		Why: strings.Join(why, ", "), Do: "set it back if nothing was lost, else go on with a copy of the data directory from before",
		Exit: events.ExitHalt}
}
