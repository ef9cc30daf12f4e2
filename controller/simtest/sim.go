// Package simtest runs seeded histories of a simulated cluster against the real
// fold and the real decisions, and checks what came of them.
//
// A history is a world (nodes, kubelets, users), a log with faults, and one or two
// real controllers and real executors that may lag, pause and be killed, act late
// and twice. Its time is an argument that it advances itself. Everything it does
// follows from one seed: the same seed gives the same bytes.
//
// The oracle reads the log and keeps its own model; it never asks the
// projector. It is deliberately a second, plain implementation of what a
// DaemonSet means.
package simtest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
)

// epoch is when every history begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// maxRecords bounds the log of a history's eventful part, quiesceRecords what may
// be appended after it until all is at rest.
const (
	maxRecords     = 600
	quiesceRecords = 4000
)

// Violation is an invariant that does not hold.
type Violation struct {
	Invariant string     // "S1"
	Seq       events.Seq // the position at which it broke
	What      string
}

func (v *Violation) String() string { return fmt.Sprintf("%s at #%d: %s", v.Invariant, v.Seq, v.What) }

func violation(invariant string, seq events.Seq, format string, args ...any) *Violation {
	return &Violation{invariant, seq, fmt.Sprintf(format, args...)}
}

// Result is what came of a history.
type Result struct {
	Seed      uint64
	Digest    string // SHA-256 over every record: subjects are in the bytes
	Records   int
	Plans     int
	Seen      Coverage
	Violation *Violation // the first; nil: none
	history   *History
}

// History is one run.
type History struct {
	seed                        uint64
	cfg                         config
	world, faults, whims, order *rand.Rand // one stream a concern
	now                         time.Time
	ids                         uint64
	log                         *memlog.Log
	trouble                     trouble
	logID                       string
	subjects                    events.Subjects
	entries                     []entry
	calm                        bool // faults are over
	plans                       int
	fault                       memlog.Fault
	seen                        Coverage

	model     *model                // of the whole log: the world as it is
	ends      map[string]events.Seq // by subject, its last event
	kubelets  kubelets
	executors []*host
	managers  []*host // of DaemonSets: the controllers
	users     users
	holders   holders
	checkAll  bool
	planner   int // bit per controller that has planned
	broken    *Violation
}

// Options of a run.
type Options struct {
	CheckEvery bool // hold every controller's state, after every event, against one that is built from scratch
}

// Run runs the history of a seed and checks it. A panic is a violation too.
func Run(seed uint64, opt Options) (r Result) {
	h := newHistory(seed)
	h.checkAll = opt.CheckEvery
	defer func() {
		if p := recover(); p != nil {
			r = Result{Seed: seed, history: h, Violation: violation("PANIC", h.last(), "%v\n%s", p, debug.Stack())}
		}
	}()
	h.begin()
	h.eventful()
	v := h.broken
	if v == nil {
		v = h.quiesce()
	}
	if first := h.audit(); first != nil && (v == nil || first.Seq <= v.Seq) {
		v = first
	}
	return Result{Seed: seed, Digest: h.digest(), Records: len(h.entries), Plans: h.plans,
		Seen: h.seen, Violation: v, history: h}
}

func newHistory(seed uint64) *History {
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	h := &History{seed: seed, now: epoch, world: stream(1), faults: stream(2), whims: stream(3), order: stream(4)}
	h.cfg, h.holders.r = newConfig(stream(5)), stream(6)
	if h.holders.r.IntN(3) == 0 {
		h.cfg.faults |= 1 << faultHolds
	}
	subjects, err := events.NewSubjects("sim")
	if err != nil {
		panic(err) // a constant name
	}
	h.subjects = subjects
	h.log = memlog.New(subjects, func() time.Time { return h.now.Add(h.trouble.skew) })
	h.log.Inject(func([]events.Entry) memlog.Fault { return h.fault })
	info, err := h.log.Info(context.Background())
	if err != nil {
		panic(fmt.Sprintf("sim: log in memory: %v", err))
	}
	h.logID = info.ID
	h.model, h.ends = newModel(), map[string]events.Seq{}
	h.kubelets = newKubelets()
	h.users = users{versions: map[string][]string{}}
	for i := range h.cfg.executors {
		h.executors = append(h.executors, newExecutor(h, i))
	}
	for i := range h.cfg.controllers {
		h.managers = append(h.managers, newController(h, i))
	}
	return h
}

// id returns the next id, unlike any other of the history.
func (h *History) id() ulid.ULID {
	h.ids++
	var id ulid.ULID
	binary.BigEndian.PutUint64(id[8:], h.ids)
	_ = id.SetTime(uint64(h.now.UnixMilli())) // cannot be out of range
	return id
}

// append appends an event, with a fault if one is due, and lets the world
// know of whatever is in the log then.
func (h *History) append(x events.Expect, e events.Event) (events.Seq, error) {
	h.fault = h.nextFault()
	stored := h.trouble.storing(h, e.Source)
	seq, err := h.log.Append(context.Background(), events.Entry{Event: e, Expect: x})
	h.fault = memlog.None
	h.follow()
	stored()
	return seq, err
}

func (h *History) nextFault() memlog.Fault {
	p := h.faults.IntN(100)
	switch {
	case h.calm:
	case p < 4 && h.cfg.has(faultAckLost):
		return memlog.LoseAck
	case p >= 4 && p < 8 && h.cfg.has(faultAppendLost):
		return memlog.LoseAppend
	case p >= 8 && p < 12 && h.cfg.has(faultRefused):
		return memlog.Refuse
	}
	return memlog.None
}

// last returns the position of the newest record.
func (h *History) last() events.Seq { return events.Seq(len(h.entries)) }

// follow reads what is new in the log.
func (h *History) follow() {
	for e, err := range h.log.Read(context.Background(), h.last()) {
		if err != nil {
			panic(fmt.Sprintf("sim: seed %d: log in memory: %v", h.seed, err))
		}
		x := newEntry(e)
		h.trouble.enter(h, &x)
		h.entries = append(h.entries, x)
		h.ends[x.Subject] = x.Seq
		h.model.take(x)
		if !x.forged {
			h.kubelets.heard(h, x)
		}
	}
}

// digest is a SHA-256 over all records.
func (h *History) digest() string {
	sum := sha256.New()
	for _, e := range h.entries {
		var n [16]byte
		binary.BigEndian.PutUint64(n[:8], uint64(e.Stored.UnixNano()))
		binary.BigEndian.PutUint64(n[8:], uint64(len(e.Raw)))
		sum.Write(n[:])
		sum.Write(e.Raw)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// eventful is the part of a history in which things go wrong.
func (h *History) eventful() {
	for range h.cfg.steps {
		if len(h.entries) >= maxRecords || h.broken != nil {
			return
		}
		h.advance()
		h.trouble.turn(h)
		h.holders.turn(h)
		switch p := h.order.IntN(100); {
		case p < 35:
			h.kubelets.turn(h, 1+h.order.IntN(4))
		case p < 60:
			h.executors[h.order.IntN(len(h.executors))].turn(1 + h.order.IntN(8))
		case p < 92:
			h.managers[h.order.IntN(len(h.managers))].turn(2)
		default:
			h.users.turn(h)
		}
	}
}

// advance lets a little time pass, sometimes more.
func (h *History) advance() {
	switch p := h.order.IntN(1000); {
	case p < 3 && h.cfg.has(faultJump):
		h.now = h.now.Add(time.Duration(600+h.order.IntN(1500)) * time.Second)
	case p < 60:
		h.now = h.now.Add(time.Duration(1+h.order.IntN(12)) * time.Second)
	default:
		h.now = h.now.Add(time.Duration(h.order.IntN(400)) * time.Millisecond)
	}
}

// check holds a controller's state against one that is built from scratch.
func (h *History) check(s *projector.State) {
	if h.broken != nil {
		return
	}
	if err := s.Check(); err != nil {
		h.broken = violation("CHECK", s.Seq(), "%v", err)
	} else if n, q := s.Quarantined(); n != h.forgedUpTo(s.Seq()) {
		h.broken = violation("L11", s.Seq(), "%d quarantined, %d were forged: %v", n, h.forgedUpTo(s.Seq()), q)
	}
}
