package events

import (
	"k8s.io/apimachinery/pkg/types"
)

// readPlan reads a plan by hand: every fold does so, and a plan is long.
func (d *decoder) readPlan() *Plan {
	p := new(Plan)
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "basis":
			p.Basis = d.basis()
		case "revision":
			p.Revision = d.word()
		case "rollout":
			p.Rollout = d.budget()
		case "commands":
			p.Commands = d.commands()
		case "waiting":
			p.Waiting = d.Value()
		case "held":
			for n := d.Array(); n > 0 && d.Err() == nil; n-- {
				p.Held = append(p.Held, d.waitCount())
			}
		default:
			d.Skip()
		}
	}
	return p
}

func (d *decoder) budget() (b Budget) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "desired":
			b.Desired = int(d.Int())
		case "updated":
			b.Updated = int(d.Int())
		case "unavailable":
			b.Unavailable = int(d.Int())
		case "surging":
			b.Surging = int(d.Int())
		case "maxUnavailable":
			b.MaxUnavailable = int(d.Int())
		case "maxSurge":
			b.MaxSurge = int(d.Int())
		case "taken":
			b.Taken = int(d.Int())
		case "added":
			b.Added = int(d.Int())
		default:
			d.Skip()
		}
	}
	return b
}

func (d *decoder) waitCount() (w WaitCount) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "for":
			w.For = Held(d.word())
		case "nodes":
			w.Nodes = int(d.Int())
		default:
			d.Skip()
		}
	}
	return w
}

func (d *decoder) basis() (b Basis) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "seq":
			b.Seq = Seq(d.count())
		case "now":
			b.Now = d.Time()
		default:
			d.Skip()
		}
	}
	return b
}

// commands reads the commands of a plan. There is room for no more of them than
// one may have, and a plan that says it has more is none.
func (d *decoder) commands() []Command {
	n := d.Array()
	if n > MaxCommands {
		d.wrong("%d commands, and at most %d are one plan", n, MaxCommands)
	}
	cs := make([]Command, 0, min(n, MaxCommands))
	for ; n > 0 && d.Err() == nil; n-- {
		cs = append(cs, d.command())
	}
	return cs
}

func (d *decoder) command() (c Command) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "do":
			c.Do = Verb(d.word())
		case "ref":
			c.Ref = d.readRef()
		case "node":
			c.Node = d.string()
		case "nodeUID":
			c.NodeUID = types.UID(d.string())
		case "revision":
			c.Revision = d.word()
		case "attempt":
			c.Attempt = int(d.Int())
		case "owners":
			for n := d.Array(); n > 0 && d.Err() == nil; n-- {
				c.Owners = append(c.Owners, types.UID(d.string()))
			}
		case "finalizer":
			c.Finalizer = d.word()
		case "reason":
			c.Reason = Reason(d.word())
		default:
			d.Skip()
		}
	}
	return c
}
