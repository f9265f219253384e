package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// someUsers is the arguments of a command that changes what users may do.
type someUsers struct {
	database
	replicas
	Users []string `arg:"" name:"user" help:"Ids, e-mail addresses or phone numbers."`
}

type (
	userDeactivateCmd struct{ someUsers }
	userActivateCmd   struct{ someUsers }
	userSignOutCmd    struct{ someUsers }
)

// Help is shown by --help.
func (*userDeactivateCmd) Help() string {
	return `A deactivated user cannot sign in, and no token speaks for them: their sockets close with 4001 user_inactive.

Examples:
  roomspa user deactivate 7
  roomspa user deactivate ann@example.com ben@example.com`
}

// Help is shown by --help.
func (*userActivateCmd) Help() string { return "Examples:\n  roomspa user activate 7" }

// Help is shown by --help.
func (*userSignOutCmd) Help() string {
	return `Signs users out everywhere: tokens that were issued until now are refused, and their sockets close with
4001 token_revoked. They may sign in again at once.

Examples:
  roomspa user sign-out 7`
}

// Run deactivates users.
func (c *userDeactivateCmd) Run(ctx context.Context, std streams) error {
	err := c.each(ctx, std, "deactivated", func(db *postgres.DB, id room.UserID) error { return db.SetActive(ctx, id, false) })
	return errors.Join(err, c.tell(ctx, std))
}

// Run activates users.
func (c *userActivateCmd) Run(ctx context.Context, std streams) error {
	return c.each(ctx, std, "activated", func(db *postgres.DB, id room.UserID) error { return db.SetActive(ctx, id, true) })
}

// Run signs users out everywhere.
func (c *userSignOutCmd) Run(ctx context.Context, std streams) error {
	err := c.each(ctx, std, "signed out", func(db *postgres.DB, id room.UserID) error {
		_, err := db.SignOut(ctx, id, time.Now())
		return err
	})
	return errors.Join(err, c.tell(ctx, std))
}

// each changes one user after the other, and goes on where one does not exist.
func (c *someUsers) each(ctx context.Context, std streams, done string, change func(*postgres.DB, room.UserID) error) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var missing error
	for _, which := range c.Users {
		u, err := db.FindUser(ctx, which)
		if err == nil {
			err = change(db, u.ID)
		}
		switch {
		case errors.Is(err, room.ErrNotFound):
			missing = errors.Join(missing, fmt.Errorf("there is no user %s", which))
			continue
		case err != nil:
			return err
		}
		if _, err := fmt.Fprintf(std.Out, "%s: user %d\n", done, u.ID); err != nil {
			return err
		}
	}
	return missing
}
