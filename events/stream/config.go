package stream

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// duplicates is how long the server itself knows an id. It is longer than an
// outage of a writer should last, and costs about 100 bytes an event.
const duplicates = 10 * time.Minute

// config returns the stream of a log: everything is kept, no event can be taken
// out of it, and what does not fit is refused. Its beginning can be purged, by
// Purge: who may is for the permissions of the server. The server compresses each block of 8 MiB
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
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// free are the settings of a stream that the safety of a log does not rest on,
// by their names in JSON. All others, and those that a later client knows of,
// must be as config has them.
var free = []string{"name", "description", "max_consumers", "max_msg_size", "num_replicas", "placement", "compression", "first_seq",
	"consumer_limits", "metadata", "template_owner", "discard_new_per_subject", "mirror_direct", "subject_delete_marker_ttl", "allow_batched", "deny_purge"}

// settings returns what a stream is set to, in JSON, by name; what is not there is
// not set.
func settings(c jetstream.StreamConfig) (m map[string]json.RawMessage) {
	data, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		panic(fmt.Sprintf("stream: a configuration has no JSON form: %v", err))
	}
	return m
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
	is, must := settings(have), settings(want)
	names := slices.Concat(slices.Collect(maps.Keys(is)), slices.Collect(maps.Keys(must)))
	slices.Sort(names)
	var why []string
	for _, name := range slices.Compact(names) {
		if !slices.Contains(free, name) && !bytes.Equal(is[name], must[name]) {
			why = append(why, fmt.Sprintf("%s is %s, must be %s", name, cmp.Or(string(is[name]), "not set"), cmp.Or(string(must[name]), "not set")))
		}
	}
	if why == nil {
		return nil
	}
	return &events.Error{Code: "E-STREAM-CONFIG", What: "the stream is not set as a log must be", Where: have.Name,
		Why: strings.Join(why, ", "), Do: "set it back if nothing was lost, else go on with a copy of the data directory from before",
		Exit: events.ExitHalt}
}
