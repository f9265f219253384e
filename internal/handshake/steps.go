package handshake

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// A step is one stage of a handshake. A step named [story.Received] belongs to the
// stage that every story begins with. A step without a name is named by the endpoint.
type step struct {
	name string
	run  func(*attempt, context.Context) error
}

// The steps of a handshake, in order. The first one that fails decides the close.
var (
	authenticated = []step{
		{story.Received, (*attempt).logRequest},
		{story.Received, (*attempt).checkCapacity},
		{story.Received, (*attempt).waitForTurn},
		{"token found", (*attempt).findToken},
		{"token decoded", (*attempt).decodeToken},
		{"user loaded", (*attempt).loadUser},
		{"authorized", (*attempt).authorize},
		{"group joined", (*attempt).join},
		{"accepted", (*attempt).accept},
		{"", (*attempt).load},
	}
	anonymous = []step{
		{story.Received, (*attempt).authorize},
		{story.Received, (*attempt).checkCapacity},
		{story.Received, (*attempt).accept},
		{story.Received, (*attempt).load},
	}
)

// run runs the steps and writes them into the story.
func (a *attempt) run(ctx context.Context) error {
	steps := authenticated
	if a.endpoint.Anonymous {
		steps = anonymous
	}
	for _, s := range steps {
		err := error(nil)
		if s.name == story.Received {
			err = a.try(ctx, s)
		} else {
			s.name = cmp.Or(s.name, a.endpoint.Load)
			err = a.story.Do(s.name, func() error { return a.try(ctx, s) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// try runs one step. A panic is an error of the step.
func (a *attempt) try(ctx context.Context, s step) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in step %q: %v\n%s", s.name, p, debug.Stack())
		}
	}()
	return s.run(a, ctx)
}

// checkCapacity refuses the socket if the replica is full.
func (a *attempt) checkCapacity(context.Context) error {
	if a.full != "" {
		return busy(a.full)
	}
	return nil
}

// waitForTurn waits until fewer than Options.MaxHandshakes handshakes run. The limit
// keeps a burst of handshakes from starving the open sockets of Postgres and Redis.
// After turnTimeout it returns a rejection (busy).
func (a *attempt) waitForTurn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	select {
	case a.server.turns <- struct{}{}:
		a.turn = true
		return nil
	case <-ctx.Done():
		return busy(session.ConnectionLimit)
	}
}

// authorize checks the path and the query, asks the endpoint whether the user may
// enter, and makes the consumer.
func (a *attempt) authorize(context.Context) error {
	a.logAttempt()
	e, p := a.endpoint, &a.peer
	ids, bad := parseIDs(e.IDs, a.segments)
	line, detail := describeIDs(e.IDs, ids)
	if line != "" {
		a.log.Info(e.Component, line)
	}
	if bad == nil && e.Query != nil {
		bad = e.Query(a.query)
	}
	if bad != nil {
		return &endpoint.Rejection{Close: bad, Line: "Connection rejected - " + strings.ReplaceAll(bad.Reason, "_", " ") + ": " + bad.Detail}
	}
	p.IDs, p.Query = ids, a.query
	if e.Authorize != nil {
		if r := e.Authorize(*p, func(id room.UserID) *room.User { return a.known[id] }); r != nil {
			return r
		}
	}
	a.known = nil
	if detail != "" {
		a.story.Detail(detail)
	}
	if !e.Anonymous {
		p.Group = e.Group(*p)
	}
	a.consumer = e.New(*p)
	return nil
}

func (a *attempt) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	e, group := a.endpoint, a.peer.Group
	a.log.Info(e.Component, "Room group name: "+group)
	began := time.Now()
	if err := a.consumer.Join(ctx); err != nil {
		return &endpoint.Rejection{
			Close: &frame.Close{Code: frame.CodeInternal, Reason: "channel_layer_unavailable", Cause: err},
			Line:  "Failed to add to channel group: " + err.Error(),
		}
	}
	a.story.Detail(group)
	a.log.Info(e.Component, "Added to channel group successfully")
	if a.log.Watched() {
		a.log.Debug(e.Component, "Joined channel group", slog.String("group", group), slog.Duration("took", time.Since(began)))
	}
	return nil
}

func (a *attempt) accept(context.Context) error {
	line := "Connection accepted"
	if u := a.peer.User; u != nil {
		line = fmt.Sprintf("Connection accepted for user %d (role: %s)", u.ID, u.Role)
	}
	a.log.Info(a.endpoint.Component, line)
	return nil
}

func (a *attempt) load(ctx context.Context) error { return a.consumer.Open(ctx) }
