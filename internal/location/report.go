package location

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// A Reporter takes the positions that users send by HTTP. All that a user sends to a room counts
// as sent by one socket. Make one with [Location.Reporter].
type Reporter struct {
	location *Location
	turns    turns
}

// Reporter returns the reporter of the replica.
func (l *Location) Reporter() *Reporter {
	return &Reporter{location: l, turns: turns{taken: map[turn]chan struct{}{}}}
}

// Report publishes the newest of the positions that a user has sent, and keeps it as the last one.
// The user must be allowed to enter the room. Each text is the JSON object of one position.
//
// Its errors are a *[room.Invalid], if the user may not send positions at all, or wrap
// [room.ErrUnavailable], and [room.ErrChannelLayer] if it is not the blocks that are unavailable.
// Then the positions may be sent again.
func (r *Reporter) Report(ctx context.Context, in room.Room, by *room.User, texts [][]byte, log *logging.Conn) (report room.PositionReport, err error) {
	l := r.location
	s := sender{location: l, room: in, user: by.ID, role: by.Role, group: in.Group(name), log: log}
	if bad := s.mayNotSend(); bad != nil {
		l.metrics.count("refused")
		return report, bad
	}
	positions := s.decode(texts, &report)
	if len(positions) == 0 {
		return report, nil
	}
	if blocked, err := s.blocked(ctx); blocked || err != nil {
		if err == nil {
			report.Accepted = len(positions)
		}
		for range report.Accepted {
			l.metrics.count("blocked")
		}
		return report, err // neither passed on nor kept
	}
	release, err := r.turns.take(ctx, turn{in, by.ID})
	if err != nil {
		return report, err
	}
	defer release()
	if err := s.report(ctx, positions, &report); err != nil {
		return report, fmt.Errorf("%w: %w", room.ErrChannelLayer, err)
	}
	return report, nil
}

// A sentPosition is a position and the JSON text in which it was sent.
type sentPosition struct {
	room.Position
	text []byte
}

// decode returns the positions of texts, and adds the others to the report.
func (s *sender) decode(texts [][]byte, report *room.PositionReport) (positions []sentPosition) {
	for i, text := range texts {
		in, err := frame.DecodePosition(text)
		if err == nil && in.Type != "" {
			err = &room.Invalid{Code: "unknown_type", Field: "type", Detail: "only positions can be sent here"}
		}
		bad, ok := errors.AsType[*room.Invalid](err)
		if err != nil && !ok {
			bad = &room.Invalid{Code: "bad_json", Detail: "the position cannot be read"}
		}
		if bad != nil {
			s.location.metrics.count("refused")
			report.Refused = append(report.Refused, room.RefusedPosition{Index: i, Invalid: *bad})
			continue
		}
		positions = append(positions, sentPosition{withoutFuture(in.Position), text})
	}
	return positions
}

// blocked reports whether one side of the room has blocked the other one.
func (s *sender) blocked(ctx context.Context) (bool, error) {
	if s.location.options.Blocks == nil {
		return false, nil
	}
	pair, err := s.location.options.Blocks.Watch(ctx, s.room)
	if err != nil {
		return false, err //nolint:wrapcheck // it names the operation
	}
	defer pair.Release()
	return pair.Any(), nil
}

// report passes the newest of the positions on, unless all are outdated.
func (s *sender) report(ctx context.Context, positions []sentPosition, report *room.PositionReport) error {
	last, err := s.location.positions.Reported(ctx, s.room, s.user)
	if err != nil {
		return err //nolint:wrapcheck // it names the operation
	}
	var newest *sentPosition
	var recorded time.Time // the latest so far
	for i := range positions {
		p := &positions[i]
		if !p.Newer(room.Position{RecordedAt: last}) {
			report.Outdated++
			s.location.metrics.count("outdated")
			continue
		}
		report.Accepted++
		if newest != nil {
			s.location.metrics.count("superseded")
		}
		if p.Newer(room.Position{RecordedAt: recorded}) {
			newest = p
		}
		if p.RecordedAt.After(recorded) {
			recorded = p.RecordedAt
		}
	}
	if newest == nil {
		return nil
	}
	done := make(result, 1)
	s.location.positions.SaveReported(s.room, s.user, newest.RecordedAt, nil) // a Redis that refuses to write may publish
	s.send(newest.Position, newest.text, done)
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the client has gone
	}
	return nil
}

// A result takes the outcomes of a position.
type result chan error

func (r result) sent(err error) { r <- err }

// Turns lets a user have one report to a room at a time, so that their order is known.
type turns struct {
	mu    sync.Mutex
	taken map[turn]chan struct{} // closed when the turn is over
}

type turn struct {
	room room.Room
	user room.UserID
}

// take waits for the turn. The caller must call release if err is nil.
func (t *turns) take(ctx context.Context, key turn) (release func(), err error) {
	for {
		t.mu.Lock()
		over, taken := t.taken[key]
		if !taken {
			over = make(chan struct{})
			t.taken[key] = over
		}
		t.mu.Unlock()
		if !taken {
			return func() {
				t.mu.Lock()
				delete(t.taken, key)
				t.mu.Unlock()
				close(over)
			}, nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return nil, ctx.Err() //nolint:wrapcheck // the client has gone
		}
	}
}
