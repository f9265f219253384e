package inspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

// Closed says how many sockets are being closed.
type Closed struct {
	Fleet
	Code     int            `json:"code"` // that the clients get
	Closed   int            `json:"closed"`
	Replicas map[string]int `json:"replicas"` // the same by replica
}

// ParseClose reads the parameters of an inquiry that closes sockets.
func ParseClose(values url.Values) (f Filter, err error) {
	p := parser{query: values}
	f = p.filter()
	if len(f.Query()) == 0 {
		p.fail("user", "say which sockets to close: give user, room, ref, replica or another parameter")
	}
	return f, p.finish()
}

// Close closes the sockets of all replicas that a filter chooses, with 1012, after which clients
// come back. It returns when the replicas have begun: many sockets take a while.
func (i *Inspector) Close(ctx context.Context, which Filter, by string) (c Closed, err error) {
	answers, f, err := ask[int](ctx, i, closeSockets, by, which.Replica, which)
	c = Closed{Fleet: f, Code: frame.CodeRestart, Replicas: map[string]int{}}
	for _, a := range answers {
		c.Replicas[a.replica] += a.data
		c.Closed += a.data
	}
	return c, err
}

// closeHere closes sockets of this replica, and returns their number.
func (i *Inspector) closeHere(which Filter, by string) (int, error) {
	if err := i.means(&which); err != nil {
		return 0, err
	}
	if len(which.Query()) == 0 {
		return 0, errors.New("this replica does not close all its sockets")
	}
	now, ending := time.Now(), &session.Ending{}
	i.o.Sockets.Infos(func(info *session.Info) bool {
		if info.State != session.StateClosing && which.matches(info, now) {
			ending.Add(info)
		}
		return true
	})
	if ending.Len() > 0 {
		logging.Audit(i.o.Log, fmt.Sprintf("Operator closes sockets: %d", ending.Len()),
			slog.String("by", by), slog.String("filter", which.String()))
		i.start(func() { ending.Run() })
	}
	return ending.Len(), nil
}
