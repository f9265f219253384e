package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

type userShowCmd struct {
	database
	Users []string `arg:"" name:"user" help:"Ids, e-mail addresses or phone numbers."`
	JSON  bool     `name:"json" env:"-" help:"Print one JSON object a line."`
}

// Help is shown by --help.
func (*userShowCmd) Help() string {
	return `Exit code: 0 if all of them exist, 1 if not.

Examples:
  roomspa user show 1 2
  roomspa user show ann@example.com --json`
}

// Run shows users.
func (c *userShowCmd) Run(ctx context.Context, std streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var missing error
	for _, which := range c.Users {
		u, err := db.FindUser(ctx, which)
		switch {
		case errors.Is(err, room.ErrNotFound):
			missing = errors.Join(missing, fmt.Errorf("there is no user %s", which))
		case err != nil:
			return err
		default:
			if err := printUsers(std.Out, []room.User{u}, c.JSON); err != nil {
				return err
			}
		}
	}
	return missing
}
