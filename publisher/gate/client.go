package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/publisher/manifest"
)

// Client asks the gate of a cluster. A refusal is an *events.Error with the
// code that the gate gave.
type Client struct {
	nc      *nats.Conn
	cluster string
	user    string
}

// Dial returns a client of the gate of a cluster, for the user of nc: a name
// that can be a token of a subject. A server with permissions takes requests of
// no other, so that the gate knows who asks. It does not look for the gate: the
// first request does. nc stays the caller's.
func Dial(nc *nats.Conn, cluster, user string) *Client {
	return &Client{nc: nc, cluster: cluster, user: user}
}

// Apply is Gate.Apply.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) (Reply, error) {
	return c.ask(ctx, "apply", r)
}

// DeleteDaemonSet is Gate.DeleteDaemonSet.
func (c *Client) DeleteDaemonSet(ctx context.Context, r DeleteDaemonSetRequest) (Reply, error) {
	return c.ask(ctx, "delete-daemonset", r)
}

// DeletePod is Gate.DeletePod.
func (c *Client) DeletePod(ctx context.Context, r DeletePodRequest) (Reply, error) {
	return c.ask(ctx, "delete-pod", r)
}

// SetImage is Gate.SetImage.
func (c *Client) SetImage(ctx context.Context, r SetImageRequest) (Reply, error) {
	return c.ask(ctx, "set-image", r)
}

// Undo is Gate.Undo.
func (c *Client) Undo(ctx context.Context, r UndoRequest) (Reply, error) {
	return c.ask(ctx, "undo", r)
}

func (c *Client) rollout(ctx context.Context, verb string, r RolloutRequest) (Reply, error) {
	return c.ask(ctx, verb, r)
}

// Restart is Gate.Restart.
func (c *Client) Restart(ctx context.Context, r RolloutRequest) (Reply, error) {
	return c.rollout(ctx, "restart", r)
}

// Pause is Gate.Pause.
func (c *Client) Pause(ctx context.Context, r RolloutRequest) (Reply, error) {
	return c.rollout(ctx, "pause", r)
}

// Resume is Gate.Resume.
func (c *Client) Resume(ctx context.Context, r RolloutRequest) (Reply, error) {
	return c.rollout(ctx, "resume", r)
}

// AddNodes is Gate.AddNodes.
func (c *Client) AddNodes(ctx context.Context, r AddNodesRequest) (Reply, error) {
	return c.ask(ctx, "add-nodes", r)
}

func (c *Client) nodes(ctx context.Context, verb string, r NodesRequest) (Reply, error) {
	return c.ask(ctx, verb, r)
}

// DeleteNodes is Gate.DeleteNodes.
func (c *Client) DeleteNodes(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "delete-nodes", r)
}

// Cordon is Gate.Cordon.
func (c *Client) Cordon(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "cordon", r)
}

// Uncordon is Gate.Uncordon.
func (c *Client) Uncordon(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "uncordon", r)
}

// Label is Gate.Label.
func (c *Client) Label(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "label", r)
}

// Taint is Gate.Taint.
func (c *Client) Taint(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "taint", r)
}

// Fail is Gate.Fail.
func (c *Client) Fail(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "fail", r)
}

// Recover is Gate.Recover.
func (c *Client) Recover(ctx context.Context, r NodesRequest) (Reply, error) {
	return c.nodes(ctx, "recover", r)
}

// ask sends one request and reads its answer. It is not sent again: after a
// time-out it may or may not have been carried out.
func (c *Client) ask(ctx context.Context, verb string, request any) (Reply, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return Reply{}, fmt.Errorf("write a request to %s: %w", verb, err)
	}
	if len(data) > MaxRequestBytes || int64(len(data)) > c.nc.MaxPayload() {
		return Reply{}, &events.Error{Code: "E-GATE-SIZE", What: fmt.Sprintf("the request has %d bytes", len(data)),
			Why: fmt.Sprintf("at most %d are sent", min(MaxRequestBytes, c.nc.MaxPayload())), Do: "send it in parts", Exit: events.ExitInput}
	}
	subjects, err := events.NewSubjects(c.cluster)
	if err != nil {
		return Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg, err := c.nc.RequestWithContext(ctx, subjects.Gate(c.user, verb), data)
	if err != nil {
		return Reply{}, unanswered(verb, err)
	}
	a := answer{Reply: &Reply{}}
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return Reply{}, fmt.Errorf("read the answer to %s: %w", verb, err)
	}
	if a.Error != nil {
		return Reply{}, a.Error.err()
	}
	return *a.Reply, nil
}

func unanswered(verb string, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return &events.Error{Code: "E-GATE-DOWN", What: "no rollcall instance answers", Do: "start one with rollcall up", Exit: events.ExitFailure, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &events.Error{Code: "E-GATE-TIMEOUT", What: "the request to " + verb + " was not answered in time",
			Why: "it may have been carried out", Do: "look before you try again", Exit: events.ExitTimeout, Err: err}
	case errors.Is(err, nats.ErrPermissionViolation):
		return &events.Error{Code: "E-GATE-DENIED", What: "the request to " + verb + " is not permitted",
			Do: "use the credentials of the data directory", Exit: events.ExitFailure, Err: err}
	}
	return fmt.Errorf("ask the gate to %s: %w", verb, err)
}

// ReadManifest reads a manifest from a file, at most one byte more than Parse
// takes. What is not a regular file that can be read is refused.
func ReadManifest(path string) ([]byte, error) {
	refuse := func(what, do string, err error) error {
		return &events.Error{Code: "E-MAN-FILE", What: what, Where: path, Do: do, Exit: events.ExitInput, Err: err}
	}
	// Looked at before it is opened: opening a FIFO waits for a writer.
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, refuse("there is no such file", "check the path", err)
	case err != nil:
		return nil, refuse("the file cannot be read", err.Error(), err)
	case info.IsDir():
		return nil, refuse("it is a directory", "name a file in it", nil)
	case !info.Mode().IsRegular():
		return nil, refuse("it is not a regular file", "name a file, or use - for standard input", nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, refuse("the file cannot be read", "check its permissions", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, manifest.MaxBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, refuse("the file cannot be read", "check its permissions", err)
	}
	return data, nil
}
