package natsd

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/events"
)

// A consumer can be made durable, be told to deliver anywhere, and be named like
// that of somebody else, and no subject tells. So what those outside ask about
// consumers does not come to JetStream as it is. Requests to make, show and delete
// one come to rollcall under checkedConsumers.<account>.<verb>.<name>, and it asks
// JetStream for what is safe. Requests for messages have to come to JetStream
// itself, since it answers them with many messages: they come under
// grantedConsumers.<account>.<name>, where nobody listens, and a mapping of the
// consumers that the account has made leads on from there.
const (
	checkedConsumers = "_ROLLCALL_CONSUMER"
	grantedConsumers = "_ROLLCALL_NEXT"
	consumerAPI      = "$JS.API.CONSUMER."
)

// consumerVerbs are the requests that an ordered consumer makes.
var consumerVerbs = []string{"CREATE", "INFO", "DELETE", nextVerb}

const nextVerb = "MSG.NEXT"

// nameless is the subject under which clients make a consumer of several subjects:
// its configuration has the name.
func nameless(stream string) string { return consumerAPI + "CREATE." + stream }

// Bounds of a reader's consumers.
const (
	maxConsumers = 4               // of one user; an ordered one makes a new one before the old is gone
	maxIdle      = 5 * time.Minute // after which one goes that nobody asks for more
	maxWaiting   = 16              // requests for more of one
	maxRequest   = 64 << 10        // bytes of a request
	askTime      = 5 * time.Second // for JetStream to answer one
)

// consumerName is what a consumer may be called: it is a token of a subject.
var consumerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// consumers looks at requests for consumers, and passes on those that make one
// which lives in memory for a while, is asked for its messages, and can do nothing
// else. One goroutine runs it.
type consumers struct {
	nc     *nats.Conn
	log    *server.Account
	stream string
	owned  map[string][]string // names by the account that has made them, oldest first
}

// checkConsumers serves requests for consumers on nc, a connection in the account
// of the log.
func checkConsumers(nc *nats.Conn, log *server.Account, s events.Subjects) error {
	c := &consumers{nc: nc, log: log, stream: s.Stream(), owned: map[string][]string{}}
	if _, err := nc.Subscribe(checkedConsumers+".>", c.serve); err != nil {
		return fmt.Errorf("serve readers: %w", err)
	}
	return nc.Flush()
}

// serve takes a request. After the name of a consumer come the subjects that a new
// one is to have, which its configuration says again.
func (c *consumers) serve(m *nats.Msg) {
	t := strings.SplitN(m.Subject, ".", 5)
	if len(t) < 3 {
		return
	}
	account, verb, name := t[1], t[2], configuredName(m.Data)
	if len(t) > 3 {
		name = t[3]
	}
	switch {
	case !consumerName.MatchString(name) || len(m.Data) > maxRequest:
		c.refuse(m, verb, 400, 10003, "bad request")
	case verb == "CREATE":
		c.create(m, account, name)
	case !slices.Contains(c.owned[account], name):
		c.refuse(m, verb, 404, 10014, "consumer not found")
	default:
		data, done := c.ask(verb, name, m.Data)
		if verb == "DELETE" && done {
			c.forget(account, name)
		}
		answer(m, data)
	}
}

// configuredName returns the name in a request to make a consumer, or "".
func configuredName(request []byte) string {
	var r struct {
		Config struct {
			Name string `json:"name"`
		} `json:"config"`
	}
	if len(request) > maxRequest || json.Unmarshal(request, &r) != nil {
		return ""
	}
	return r.Config.Name
}

// ask hands a request to JetStream, and reports whether it was done. An answer of
// nil is none: the server closes or has no store, and who has asked asks again.
func (c *consumers) ask(verb, name string, data []byte) (answer []byte, done bool) {
	a, err := c.nc.Request(consumerAPI+verb+"."+c.stream+"."+name, data, askTime)
	if err != nil {
		return nil, false
	}
	var refused struct {
		Error *struct{} `json:"error"`
	}
	return a.Data, json.Unmarshal(a.Data, &refused) == nil && refused.Error == nil
}

// answer sends what JetStream has said.
func answer(m *nats.Msg, data []byte) {
	if data != nil {
		_ = m.Respond(data) // who has asked may not want to know
	}
}

// refuse answers as JetStream does.
func (c *consumers) refuse(m *nats.Msg, verb string, code, errCode int, text string) {
	body, _ := json.Marshal(map[string]any{"type": "io.nats.jetstream.api.v1.consumer_" + strings.ToLower(verb) + "_response",
		"error": map[string]any{"code": code, "err_code": errCode, "description": text}}) // texts and numbers
	answer(m, body)
}

// readerConfig is what a reader chooses of its consumer.
type readerConfig struct {
	DeliverPolicy  string          `json:"deliver_policy,omitempty"`
	OptStartSeq    uint64          `json:"opt_start_seq,omitempty"`
	OptStartTime   json.RawMessage `json:"opt_start_time,omitempty"`
	FilterSubjects []string        `json:"filter_subjects,omitempty"`
	HeadersOnly    bool            `json:"headers_only,omitempty"`
}

// madeConfig is a consumer as it is made for a reader.
type madeConfig struct {
	readerConfig
	Name          string            `json:"name"`
	AckPolicy     string            `json:"ack_policy"`
	ReplayPolicy  string            `json:"replay_policy"`
	Memory        bool              `json:"mem_storage"`
	Replicas      int               `json:"num_replicas"`
	Waiting       int               `json:"max_waiting"`
	Idle          time.Duration     `json:"inactive_threshold"`
	Metadata      map[string]string `json:"metadata"`
	FilterSubject string            `json:"filter_subject,omitempty"` // read, never written
}

// free are the fields that a reader chooses, and those that it may give and that are
// then as they are for all readers.
var free = []string{"name", "deliver_policy", "opt_start_seq", "opt_start_time", "filter_subject", "filter_subjects", "headers_only", "inactive_threshold",
	"ack_policy", "replay_policy", "mem_storage", "num_replicas", "max_waiting", "metadata", "description", "ack_wait", "max_deliver", "max_ack_pending",
	"max_batch", "max_expires", "max_bytes"}

// create makes a consumer as the reader wants it, of nothing but what it may want.
func (c *consumers) create(m *nats.Msg, owner, name string) {
	made, why := readerConsumer(name, m.Data)
	for other := range c.owned {
		if other != owner && slices.Contains(c.owned[other], name) {
			why = "the name is taken"
		}
	}
	if why != "" {
		c.refuse(m, "CREATE", 403, 10148, why)
		return
	}
	made.Metadata = map[string]string{"rollcall.reader": owner} // rollcall's own have none: none is taken for one
	body, err := json.Marshal(map[string]any{"stream_name": c.stream, "config": made, "action": "create"})
	if err != nil {
		c.refuse(m, "CREATE", 400, 10003, "bad request")
		return
	}
	mine := slices.Contains(c.owned[owner], name)
	if have := c.owned[owner]; len(have) >= maxConsumers && !mine {
		c.ask("DELETE", have[0], nil) // it may be gone
		c.forget(owner, have[0])
	}
	data, done := c.ask("CREATE", name, body)
	if done && !mine {
		if err := c.log.AddMapping(granted(owner, name), consumerAPI+nextVerb+"."+c.stream+"."+name); err != nil {
			panic(fmt.Sprintf("map the consumer %s: %v", name, err)) // names are tokens
		}
		c.owned[owner] = append(c.owned[owner], name)
	}
	answer(m, data)
}

func granted(account, name string) string { return grantedConsumers + "." + account + "." + name }

// readerConsumer reads a request for a consumer; why says what is wrong with it.
func readerConsumer(name string, data []byte) (made madeConfig, why string) {
	var asked struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if json.Unmarshal(data, &asked) != nil {
		return made, "bad request"
	}
	for _, field := range slices.Sorted(maps.Keys(asked.Config)) {
		if !slices.Contains(free, field) && !empty(asked.Config[field]) {
			return made, "a reader's consumer has no " + field + ": it is an ordered pull consumer"
		}
	}
	config, _ := json.Marshal(asked.Config) // it was read as JSON
	if json.Unmarshal(config, &made) != nil {
		return made, "bad request"
	}
	switch {
	case made.AckPolicy != "none" && made.AckPolicy != "":
		return made, "a reader's consumer has ack_policy none: it is an ordered pull consumer"
	case made.Name != "" && made.Name != name:
		return made, "the names in subject and configuration differ"
	}
	if made.FilterSubject != "" {
		made.FilterSubjects, made.FilterSubject = append(made.FilterSubjects, made.FilterSubject), ""
	}
	if made.Idle <= 0 || made.Idle > maxIdle {
		made.Idle = maxIdle
	}
	made.Name, made.AckPolicy, made.ReplayPolicy = name, "none", "instant"
	made.Memory, made.Replicas, made.Waiting = true, 1, maxWaiting
	return made, ""
}

// empty reports whether a field says nothing.
func empty(raw json.RawMessage) bool {
	return slices.Contains([]string{"null", "false", "0", `""`, "[]", "{}"}, string(raw))
}

// forget takes a consumer from an account.
func (c *consumers) forget(account, name string) {
	c.log.RemoveMapping(granted(account, name))
	c.owned[account] = slices.DeleteFunc(c.owned[account], func(n string) bool { return n == name })
}
