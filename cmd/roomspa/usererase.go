package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

type userEraseCmd struct {
	databaseFlags
	redisFlags
	User room.UserID `arg:"" optional:"" help:"User id."`
	Gone bool        `env:"-" help:"Erase what all users have written who no longer exist in roomspa.users."`
	Yes  bool        `env:"-" help:"Confirm the deletion. Without this flag nothing is deleted."`
}

// Help is shown by --help.
func (*userEraseCmd) Help() string {
	return `Deletes the e-mail address, the phone number, the name and the password of a user, deactivates the user, and empties all messages
that they sent, with type and metadata, and all reports that they wrote. The emptied messages stay, so that the
conversation has no gap; messages of the other side stay as they are. Once the command has succeeded, no message of the user can be stored, not even one that was on its way. Their last
position expires 120 s after their sockets have closed: at once with --redis-url, within a second without.
If the command is interrupted, run it again. Backups, logs and other copies are not changed.

Where roomspa.users is a view over Django's table, delete the user in Django, and then run it with --gone. That empties what
users have written who no longer exist, and prints "complete" when nothing of them is left. Without --yes it only lists
them. A socket of a user who was deleted less than 40 s ago may still be open; --gone closes it.

Examples:
  roomspa user erase 7 --yes
  roomspa user erase --gone
  roomspa user erase --gone --yes`
}

// Run erases a user, or those who are gone.
func (c *userEraseCmd) Run(ctx context.Context, std streams) error {
	switch {
	case (c.User != 0) == c.Gone:
		return &exitError{2, errors.New("give the id of a user, or --gone")}
	case !c.Yes && !c.Gone:
		return &exitError{2, errors.New("this deletes data for good: add --yes to confirm")}
	}
	db, err := c.databaseFlags.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if c.Gone {
		return c.eraseGone(ctx, std, db)
	}
	// Close the sockets first: their users learn why, instead of losing messages.
	err = db.SetActive(ctx, c.User, false)
	if errors.Is(err, room.ErrNotFound) {
		return fmt.Errorf("there is no user %d; --gone erases what users have written who no longer exist", c.User)
	}
	if err != nil {
		return withOwner(err, "delete the user there, and run roomspa user erase --gone --yes")
	}
	notifyErr := c.notifyReplicas(ctx, std, db, []room.UserID{c.User})
	messages, err := db.EraseUser(ctx, c.User)
	if err != nil {
		return fmt.Errorf("%w; %d messages were emptied: run the command again", err, messages)
	}
	_, err = fmt.Fprintf(std.Out, "erased: user %d, and the text of %d messages\n", c.User, messages)
	return errors.Join(err, notifyErr)
}

// eraseGone erases what users have written who no longer exist.
func (c *userEraseCmd) eraseGone(ctx context.Context, std streams, db *postgres.DB) error {
	var gone []room.UserID
	err := db.GoneUsers(ctx, func(id room.UserID) error { gone = append(gone, id); return nil })
	if errors.Is(err, postgres.ErrNoUsers) {
		return fmt.Errorf("%w: nothing is erased, because the table or the view seems to be wrong", err)
	}
	if err != nil {
		return err
	}
	if !c.Yes && len(gone) > 0 {
		if _, err := fmt.Fprintf(std.Out, "no longer exist: %d users, such as %v\n", len(gone), gone[:min(len(gone), 20)]); err != nil {
			return err
		}
		return &exitError{2, errors.New("this deletes data for good: add --yes to confirm")}
	}
	notifyErr := c.notifyReplicas(ctx, std, db, gone)
	total := int64(0)
	for _, id := range gone {
		messages, err := db.EraseGone(ctx, id)
		total += messages
		if err != nil {
			return fmt.Errorf("%w; %d messages were emptied: run the command again", err, total)
		}
		if _, err := fmt.Fprintf(std.Out, "erased: the text of %d messages of user %d\n", messages, id); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(std.Out, "complete: nothing is left of users that no longer exist (%d users and %d messages erased)\n", len(gone), total)
	return errors.Join(err, notifyErr)
}
