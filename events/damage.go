package events

import "fmt"

// Repair is what to do about a damaged log. A log is never mended in place:
// what was decided from the missing events cannot be decided again.
const Repair = "keep a copy of the data directory as it is, then put back a copy from before, or start a new one"

// Gap is the error of a reader that found position found where want must be.
func Gap(want, found Seq) *Error {
	return &Error{Code: "E-LOG-GAP", What: fmt.Sprintf("position %d is missing from the log", want),
		Where: fmt.Sprintf("position %d follows %d", found, want-1), Why: "a log has no gaps, so events were lost",
		Do: Repair, Exit: ExitHalt, Err: ErrGap}
}

// Truncated is the error of a reader at position after of a log that ends at last.
func Truncated(after, last Seq) *Error {
	return &Error{Code: "E-LOG-TRUNCATED", What: fmt.Sprintf("the log ends at position %d", last),
		Where: fmt.Sprintf("position %d was read before", after), Why: "events were lost after they were acknowledged",
		Do: Repair, Exit: ExitHalt, Err: ErrTruncated}
}

// Rewritten is the error of a reader that has read a log up to position at and
// finds that it is no longer that log; why says how that is known.
func Rewritten(at Seq, why string) *Error {
	return &Error{Code: "E-LOG-REWRITTEN", What: "the log holds other events than those that were read",
		Where: fmt.Sprintf("position %d", at), Why: why, Do: Repair, Exit: ExitHalt, Err: ErrRewritten}
}
