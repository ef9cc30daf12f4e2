package blocks

import (
	"errors"
	"fmt"

	"rollcall/events"
	"rollcall/events/files"
)

// What ends a scan without a fault. They are not passed on.
var (
	errStop = errors.New("the caller has enough")
	errTorn = errors.New("the log ends in a record")
)

func none(stream, where, why string) error {
	return &events.Error{Code: "E-STREAM-NONE", What: "there is no stream " + stream, Where: where, Why: why,
		Do: "name the cluster that the log was made for, or make one with rollcall up", Exit: events.ExitInput}
}

// damaged is the refusal of a file or a record that is not what was written.
// lost says which events are gone with it.
func damaged(what, where, why, lost string) error {
	if lost != "" {
		why += "; " + lost
	}
	return &events.Error{Code: "E-LOG-DAMAGED", What: what, Where: where, Why: why, Do: events.Repair, Exit: events.ExitHalt}
}

func unreadable(path string, err error) error {
	return &events.Error{Code: "E-LOG-DAMAGED", What: "a file of the log cannot be read", Where: path, Why: files.Reason(err),
		Do: "check the disk and the rights on the file", Exit: events.ExitHalt, Err: err}
}

// deleted is the refusal of a log from which the event at seq was taken.
func deleted(seq events.Seq, where string) error {
	return &events.Error{Code: "E-LOG-GAP", What: fmt.Sprintf("position %d is missing from the log", seq), Where: where,
		Why: "the store says that it was deleted, and a log has no gaps", Do: events.Repair, Exit: events.ExitHalt, Err: events.ErrGap}
}
