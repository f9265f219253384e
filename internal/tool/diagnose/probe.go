package diagnose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// probeTimeout bounds the way of a probe through Redis.
const probeTimeout = 5 * time.Second

// errProbeUnknown is returned for a server version that does not know probe frames.
var errProbeUnknown = errors.New("the server does not know probe frames")

// exchangeProbes sends a probe from each of two sockets to both. A probe passes through
// Redis like a message, but is not stored.
func (d *diagnosis) exchangeProbes(ctx context.Context) (string, error) {
	if len(d.sockets) < 2 {
		return "", errSkipped
	}
	a, b := d.sockets[0], d.sockets[1]
	there, err := d.sendProbe(ctx, a, b)
	if errors.Is(err, errProbeUnknown) {
		return "skipped: this version of the server does not know messages that are not stored", nil
	}
	if err != nil {
		return "", err
	}
	back, err := d.sendProbe(ctx, b, a)
	if err != nil {
		return "", err
	}
	from, to := replicaOf(a), replicaOf(b)
	path := "between two sockets of replica " + from
	if from != to {
		path = "between the replicas " + from + " and " + to
	}
	return fmt.Sprintf("through Redis %s: %s there, %s back", path, durationText(there), durationText(back)), nil
}

// sendProbe sends a probe and returns the time until both sockets have received it.
func (d *diagnosis) sendProbe(ctx context.Context, from, to *client.Conn) (time.Duration, error) {
	id := client.NewID()
	began := time.Now()
	if err := from.Send(frame.Encode(frame.Probe{Type: frame.TypeProbe, ID: id})); err != nil {
		return 0, &problem{cause: "abnormal", ref: from.Ref(), detail: abnormal}
	}
	limited, cancel := context.WithTimeout(ctx, min(probeTimeout, d.Timeout))
	defer cancel()
	if err := d.awaitProbe(limited, from, id); err != nil {
		if isTimeout(err) {
			err = &problem{
				cause: "channel_layer_unavailable", ref: from.Ref(),
				detail: fmt.Sprintf("a message sent through replica %s did not come back to it through Redis", replicaOf(from)),
			}
		}
		return 0, err
	}
	if err := d.awaitProbe(limited, to, id); err != nil {
		if isTimeout(err) {
			err = &problem{
				cause: "split_channel_layer", ref: from.Ref(),
				detail: fmt.Sprintf("a message sent through replica %s came back to it through Redis, but did not reach replica %s", replicaOf(from), replicaOf(to)),
			}
		}
		return 0, err
	}
	return time.Since(began), nil
}

// awaitProbe reads frames until the probe arrives. It ignores other frames of the room.
func (d *diagnosis) awaitProbe(ctx context.Context, c *client.Conn, id string) error {
	for {
		f, err := c.Read(ctx)
		closed, ok := errors.AsType[*client.CloseError](err)
		switch {
		case ok:
			return closeProblem(closed)
		case err != nil:
			return err
		case f.Type == frame.TypeProbe && f.ID == id:
			return nil
		case f.Type == frame.TypeError && f.Code == "unknown_type":
			return errProbeUnknown
		case f.Type == frame.TypeError && f.Close == 0:
			return errorFrameProblem(f, c.Ref())
		}
	}
}
