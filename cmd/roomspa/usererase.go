package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

type userEraseCmd struct {
	database
	replicas
	User room.UserID `arg:"" help:"The user's id."`
	Yes  bool        `env:"-" help:"Yes, it cannot be undone."`
}

// Help is shown by --help.
func (*userEraseCmd) Help() string {
	return `Removes the e-mail address, the phone number and the password, deactivates the user, and empties each message that
they sent. Rows and numbers stay, so the other side's history has no hole; what others said stays too. It can be
repeated, and should be if it was interrupted. Backups, logs and copies elsewhere are not touched.

Examples:
  roomspa user erase 7 --yes`
}

// Run erases a user.
func (c *userEraseCmd) Run(ctx context.Context, std streams) error {
	if !c.Yes {
		return &exitError{2, errors.New("what is erased is gone: add --yes")}
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	// Sockets that are open must be gone before the last message is looked for.
	err = db.SetActive(ctx, c.User, false)
	if errors.Is(err, room.ErrNotFound) {
		return fmt.Errorf("there is no user %d", c.User)
	}
	if err != nil {
		return err
	}
	told := c.tell(ctx, std)
	messages, err := db.EraseUser(ctx, c.User)
	if err != nil {
		return fmt.Errorf("%w; %d messages were emptied: run it again", err, messages)
	}
	_, err = fmt.Fprintf(std.Out, "erased: user %d, and the text of %d messages\n", c.User, messages)
	return errors.Join(err, told)
}
