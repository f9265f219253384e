package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/roomspa/roomspa/internal/room"
)

// blocksPerMinute is the limit of changes by one user.
const blocksPerMinute = 30

// Blocks sets and lifts blocks on all replicas. Its errors wrap [room.ErrNotFound], if the room has
// no conversation, or [room.ErrUnavailable].
type Blocks interface {
	Set(ctx context.Context, b room.Block, in room.Room, active bool) (changed bool, err error)
}

// A blocker serves POST and DELETE /api/users/{user_id}/block/. Both are idempotent.
type blocker struct {
	base
	authenticator

	blocks Blocks
	limit  userLimit
}

func (b *blocker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.serve(w, r, func(e *exchange) (any, string, *failure) {
		message, fail := b.set(e)
		return nil, message, fail
	})
}

// set returns the line for the log.
func (b *blocker) set(e *exchange) (string, *failure) {
	segments, ok := splitPath(e.r.URL.EscapedPath(), "/api/users")
	if !ok || len(segments) != 2 || segments[1] != "block" {
		return "", noSuchPath()
	}
	active := e.r.Method == http.MethodPost
	if !active && e.r.Method != http.MethodDelete {
		e.w.Header().Set("Allow", "POST, DELETE")
		return "", newFailure(http.StatusMethodNotAllowed, "method_not_allowed", "Send a POST to block the user, or a DELETE to lift the block.")
	}
	user, _, fail := b.authenticate(e)
	if fail != nil {
		return "", fail
	}
	other, ok := room.ParseUserID(segments[0])
	if !ok {
		return "", badField("user_id", "must be an integer from 1 to 9007199254740991")
	}
	in, fail := blockedRoom(user, other)
	if fail != nil {
		return "", fail
	}
	if fail := b.limit.take(e, user.ID); fail != nil {
		return "", fail
	}
	changed, err := b.blocks.Set(e.r.Context(), room.Block{Blocker: user.ID, Blocked: other}, in, active)
	switch {
	case errors.Is(err, room.ErrNotFound):
		return "", newFailure(http.StatusNotFound, "no_such_user", "There is no such user, or no conversation with the user.")
	case err != nil:
		return "", databaseFailure(err)
	}
	action := "blocked"
	if !active {
		action = "lifted the block of"
	}
	return fmt.Sprintf("User %d %s user %d, changed: %t", user.ID, action, other, changed), nil
}

// blockedRoom returns the room of a user and another one. Support has none, and is in none.
func blockedRoom(user *room.User, other room.UserID) (room.Room, *failure) {
	switch {
	case other == user.ID:
		return room.Room{}, badField("user_id", "must be another user")
	case user.Role == room.Customer:
		return room.Room{Customer: user.ID, Therapist: other}, nil
	case user.Role == room.Therapist:
		return room.Room{Customer: other, Therapist: user.ID}, nil
	default:
		return room.Room{}, newFailure(http.StatusForbidden, "wrong_role", "Only customers and therapists can block each other.")
	}
}
