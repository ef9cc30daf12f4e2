package events

// Full is the error of an append to a log that has no room.
func Full(where, why, do string) *Error {
	return &Error{Code: "E-LOG-FULL", What: "the log takes no more events", Where: where, Why: why, Do: do,
		Exit: ExitFailure, Err: ErrUnavailable}
}

// NoQuorum is the error of a replicated log of which too few servers are there
// to agree on anything.
func NoQuorum(where, why string) *Error {
	return &Error{Code: "E-LOG-QUORUM", What: "too few servers of the log are there to agree", Where: where, Why: why,
		Do: "start those that are missing: it goes on by itself", Exit: ExitFailure, Err: ErrUnavailable}
}

// Unreachable is the error of a log whose server does not answer.
func Unreachable(where, why string) *Error {
	return &Error{Code: "E-LOG-UNREACHABLE", What: "the server of the log does not answer", Where: where, Why: why,
		Do: "start it, or mend the way to it: all goes on by itself", Exit: ExitFailure, Err: ErrUnavailable}
}
