package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/room"
)

// accessFlags are common to the commands that change what users may do.
type accessFlags struct {
	databaseFlags
	redisFlags
	Users []string `arg:"" name:"user" help:"Ids, e-mail addresses or phone numbers."`
}

type (
	userDeactivateCmd struct{ accessFlags }
	userActivateCmd   struct{ accessFlags }
	userSignOutCmd    struct{ accessFlags }
)

// Help is shown by --help.
func (*userDeactivateCmd) Help() string {
	return `Deactivated users cannot sign in, and all their tokens are refused. Their sockets close with 4001 user_inactive: at once
with --redis-url, within a second without. Where roomspa.users is a view over Django's table, set is_active there instead:
sockets close within 40 s.

Examples:
  roomspa user deactivate 7
  roomspa user deactivate ann@example.com ben@example.com`
}

// Help is shown by --help.
func (*userActivateCmd) Help() string { return "Examples:\n  roomspa user activate 7" }

// Help is shown by --help.
func (*userSignOutCmd) Help() string {
	return `Signs users out everywhere. All tokens issued until now are refused. Sockets close with 4001 token_revoked: at once with
--redis-url, within a second without. The users may sign in again at once.

Examples:
  roomspa user sign-out 7`
}

// Run deactivates users.
func (c *userDeactivateCmd) Run(ctx context.Context, std streams) error {
	return c.revoke(ctx, std, "deactivated", func(db *postgres.DB, id room.UserID) error {
		return withOwner(db.SetActive(ctx, id, false),
			"set is_active to false there, in Django's admin site for example; sockets close within 40 s. roomspa user sign-out revokes the tokens of until now at once")
	})
}

// withOwner adds to the error of writing users that another application owns what to do instead.
func withOwner(err error, instead string) error {
	if errors.Is(err, postgres.ErrUsersAreView) {
		return fmt.Errorf("%w (Django): %s", postgres.ErrUsersAreView, instead)
	}
	return err
}

// Run activates users.
func (c *userActivateCmd) Run(ctx context.Context, std streams) error {
	db, err := c.databaseFlags.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = c.each(ctx, std, db, "activated", func(db *postgres.DB, id room.UserID) error {
		return withOwner(db.SetActive(ctx, id, true), "set is_active to true there, in Django's admin site for example")
	})
	return err
}

// Run signs users out everywhere.
func (c *userSignOutCmd) Run(ctx context.Context, std streams) error {
	return c.revoke(ctx, std, "signed out", func(db *postgres.DB, id room.UserID) error {
		return db.SignOut(ctx, id, time.Now())
	})
}

// revoke changes users so that their tokens become invalid, and makes the replicas check
// their sockets.
func (c *accessFlags) revoke(ctx context.Context, std streams, done string, change func(*postgres.DB, room.UserID) error) error {
	db, err := c.databaseFlags.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	changed, err := c.each(ctx, std, db, done, change)
	return errors.Join(err, c.notifyReplicas(ctx, std, db, changed))
}

// each changes every user and returns the changed ones.
func (c *accessFlags) each(ctx context.Context, std streams, db *postgres.DB, done string, change func(*postgres.DB, room.UserID) error) (changed []room.UserID, err error) {
	err = eachUser(ctx, db, c.Users, func(u room.User) error {
		err := change(db, u.ID)
		if err == nil {
			changed = append(changed, u.ID)
			_, err = fmt.Fprintf(std.Out, "%s: user %d\n", done, u.ID)
		}
		return err
	})
	return changed, err
}

// notifyReplicas makes all running replicas check at once which sockets of the users must
// end. Replicas that are not notified find the change in Postgres. The users are changed in any
// case.
func (f *redisFlags) notifyReplicas(ctx context.Context, std streams, db *postgres.DB, users []room.UserID) error {
	if len(users) == 0 {
		return nil // nothing has changed
	}
	if f.RedisURL == "" {
		_, err := fmt.Fprintln(std.Err, "Open sockets close within a second. With --redis-url they close at once.")
		return err
	}
	client, err := f.open(ctx, db)
	if err == nil {
		defer client.Close()
		err = revocation.RequestCheck(users, func(group string, body event.Body) error {
			return channel.Announce(ctx, client, group, body)
		})
	}
	if err != nil {
		return fmt.Errorf("the users are changed, but open sockets may close only within a minute: notify replicas: %w", err)
	}
	return nil
}
