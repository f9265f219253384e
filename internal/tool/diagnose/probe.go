package diagnose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// probeLimit is how long a message may take through Redis.
const probeLimit = 5 * time.Second

// errOldRelease is what a probe gets from a server that does not know it.
var errOldRelease = errors.New("this release of the server has no probe")

// pass sends a probe from each of two sockets to both: the way of a message through
// Redis, of which nothing stays.
func (w *walk) pass(ctx context.Context) (string, error) {
	if len(w.sockets) < 2 {
		return "", errNotHere
	}
	a, b := w.sockets[0], w.sockets[1]
	there, err := w.probe(ctx, a, b)
	if errors.Is(err, errOldRelease) {
		return "not tried: this release of the server cannot send a message that is not stored", nil
	}
	if err != nil {
		return "", err
	}
	back, err := w.probe(ctx, b, a)
	if err != nil {
		return "", err
	}
	from, to := replicaOf(a), replicaOf(b)
	way := "between two sockets of replica " + from
	if from != to {
		way = "between the replicas " + from + " and " + to
	}
	return fmt.Sprintf("through Redis %s: %s there, %s back", way, short(there), short(back)), nil
}

// probe sends one from a socket, and waits until it has come back there and has come
// to the other one.
func (w *walk) probe(ctx context.Context, from, to *client.Conn) (time.Duration, error) {
	id := client.NewID()
	began := time.Now()
	if err := from.Send(frame.Encode(frame.Probe{Type: frame.TypeProbe, ID: id})); err != nil {
		return 0, &trouble{cause: "abnormal", ref: from.Ref(), detail: "the connection ended without a Close frame"}
	}
	limit, cancel := context.WithTimeout(ctx, min(probeLimit, w.Timeout))
	defer cancel()
	if err := w.arrives(limit, from, id); err != nil {
		if timedOut(err) {
			err = &trouble{
				cause: "channel_layer_unavailable", ref: from.Ref(),
				detail: fmt.Sprintf("a message of replica %s does not come back to it through Redis", replicaOf(from)),
			}
		}
		return 0, err
	}
	if err := w.arrives(limit, to, id); err != nil {
		if timedOut(err) {
			err = &trouble{
				cause: "split_channel_layer", ref: from.Ref(),
				detail: fmt.Sprintf("a message of replica %s comes back to it through Redis, and does not reach replica %s", replicaOf(from), replicaOf(to)),
			}
		}
		return 0, err
	}
	return time.Since(began), nil
}

// arrives reads until the probe is there. What else is said in the room is not ours.
func (w *walk) arrives(ctx context.Context, c *client.Conn, id string) error {
	for {
		f, err := c.Read(ctx)
		closed, ok := errors.AsType[*client.CloseError](err)
		switch {
		case ok:
			return ended(closed)
		case err != nil:
			return err
		case f.Type == frame.TypeProbe && f.ID == id:
			return nil
		case f.Type == frame.TypeError && f.Code == "unknown_type":
			return errOldRelease
		case f.Type == frame.TypeError && f.Close == 0:
			return failed(f, c.Ref())
		}
	}
}
