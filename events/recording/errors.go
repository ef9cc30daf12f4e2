package recording

import (
	"fmt"

	"rollcall/events"
	"rollcall/events/files"
)

// repair is what to do about a recording that is not what was written.
const repair = "make it again from the log, or get another copy of it"

func none(path, why string) *events.Error {
	return &events.Error{Code: "E-REC-NONE", What: "the file is no recording", Where: path, Why: why,
		Do: "give a file that rollcall record export has made", Exit: events.ExitInput}
}

func unreadable(path string, err error) *events.Error {
	return &events.Error{Code: "E-REC-NONE", What: "the file cannot be read", Where: path, Why: files.Reason(err), Do: "check its path and the rights on it", Exit: events.ExitInput, Err: err}
}

func newer(path string, is int) *events.Error {
	return &events.Error{Code: "E-REC-VERSION", What: fmt.Sprintf("the recording is of format %d", is), Where: path,
		Why: fmt.Sprintf("this program reads up to %d", format), Do: "use the program that made it, or a newer one", Exit: events.ExitInput}
}

// tooMuch refuses a file that declares more than a recording may have.
func (r *Recording) tooMuch(what string, most int64, of string) *events.Error {
	return &events.Error{Code: "E-REC-LIMIT", What: "the file declares more than a recording may have", Where: r.path,
		Why: fmt.Sprintf("%s, where %d %s are the most", what, most, of), Do: "nothing of it was unpacked; " + repair, Exit: events.ExitInput}
}

// damaged refuses a file of which a part is not what was written.
func (r *Recording) damaged(what string, at int64, why string) *events.Error {
	return &events.Error{Code: "E-REC-DAMAGED", What: what + " of the recording is damaged", Where: fmt.Sprintf("%s, byte %d", r.path, at), Why: why,
		Do: repair, Exit: events.ExitHalt}
}

// tornAtOnce refuses a file of which nothing can be read.
func (r *Recording) tornAtOnce(n int64) *events.Error {
	return &events.Error{Code: "E-REC-TORN", What: "the recording is torn before its first event", Where: r.path,
		Why: fmt.Sprintf("it has %d bytes", n), Do: repair, Exit: events.ExitHalt}
}

// before refuses to read what comes before the first event of a recording.
func (r *Recording) before(after events.Seq) *events.Error {
	return &events.Error{Code: "E-REC-START", What: fmt.Sprintf("the recording begins at position %d", r.manifest.Before.Seq+1), Where: r.path,
		Why: fmt.Sprintf("position %d was asked for", after+1), Do: "give an instant that it holds, or a recording that begins at position 1",
		Exit: events.ExitInput, Err: events.ErrGap}
}
