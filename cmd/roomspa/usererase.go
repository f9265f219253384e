package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

type userEraseCmd struct {
	databaseFlags
	redisFlags
	User room.UserID `arg:"" help:"User id."`
	Yes  bool        `env:"-" help:"Confirm the deletion. Without this flag nothing is deleted."`
}

// Help is shown by --help.
func (*userEraseCmd) Help() string {
	return `Deletes the e-mail address, the phone number and the password of a user, deactivates the user, and empties all messages
that they sent, with type and metadata, and all reports that they wrote. The emptied messages stay, so that the
conversation has no gap; messages of the other side stay as they are. Once the command has succeeded, no message of the user can be stored, not even one that was on its way. Their last
position expires 120 s after their sockets have closed: at once with --redis-url, within a second without (within a minute
if roomspa.users is a view). If the command is interrupted, run it again. Backups, logs and other copies are not changed.

Examples:
  roomspa user erase 7 --yes`
}

// Run erases a user.
func (c *userEraseCmd) Run(ctx context.Context, std streams) error {
	if !c.Yes {
		return &exitError{2, errors.New("this deletes data for good: add --yes to confirm")}
	}
	db, err := c.databaseFlags.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	// Close the sockets first: their users learn why, instead of losing messages.
	err = db.SetActive(ctx, c.User, false)
	if errors.Is(err, room.ErrNotFound) {
		return fmt.Errorf("there is no user %d", c.User)
	}
	if err != nil {
		return err
	}
	notifyErr := c.notifyReplicas(ctx, std, db, []room.UserID{c.User})
	messages, err := db.EraseUser(ctx, c.User)
	if err != nil {
		return fmt.Errorf("%w; %d messages were emptied: run the command again", err, messages)
	}
	_, err = fmt.Fprintf(std.Out, "erased: user %d, and the text of %d messages\n", c.User, messages)
	return errors.Join(err, notifyErr)
}
