// Package waittest says how long tests wait.
package waittest

import (
	"os"
	"time"
)

// Variable is the environment variable that makes the tests of a process impatient:
// where a bug is planted, one of them may wait for what never comes.
const Variable = "ROLLCALL_TEST_PATIENCE"

// Patience bounds a wait for what comes by itself. It only guards against hanging, on
// a machine that may be busy: no test is one of how long something takes.
var Patience = patience()

func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(Variable)); err == nil {
		return d
	}
	return 3 * time.Minute
}
