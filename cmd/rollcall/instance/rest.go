package instance

import (
	"context"
	"time"
)

// restTime bounds how long the server may take to leave the log at rest.
const restTime = 2 * time.Second

// rest leaves a log at rest whose server ends next: whoever wrote to it has ended.
// Without it the next start takes longer.
func (in *Instance) rest() {
	if in.Server == nil || in.Log.Log == nil || in.Memory {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), restTime)
	defer cancel()
	_ = in.Log.Rest(ctx)
}
