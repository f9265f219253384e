package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

type userCmd struct {
	Create     userCreateCmd     `cmd:"" help:"Create a user."`
	List       userListCmd       `cmd:"" help:"List users."`
	Show       userShowCmd       `cmd:"" help:"Do these users exist, and with which role?"`
	Deactivate userDeactivateCmd `cmd:"" help:"Keep users out, and close their sockets."`
	Activate   userActivateCmd   `cmd:"" help:"Let deactivated users in again."`
	SignOut    userSignOutCmd    `cmd:"" name:"sign-out" help:"Refuse every token that users hold, and close their sockets."`
	Erase      userEraseCmd      `cmd:"" help:"Remove a user's personal data for good, and the text of all they said."`
}

type userListCmd struct {
	database
	Role     string      `enum:",customer,therapist,support" default:"" env:"-" placeholder:"ROLE" help:"Only this role: customer, therapist or support."`
	Inactive bool        `env:"-" help:"Only those who are deactivated."`
	After    room.UserID `env:"-" placeholder:"ID" help:"Begin behind this id."`
	Limit    int         `default:"100" env:"-" help:"How many at most."`
	JSON     bool        `name:"json" env:"-" help:"Print one JSON object a line."`
}

// Help is shown by --help.
func (*userListCmd) Help() string {
	return `Users in the order of their ids. Where there are more, the last line says how to go on.

Examples:
  roomspa user list
  roomspa user list --role therapist --inactive
  roomspa user list --after 100 --limit 1000 --json`
}

// Run lists users.
func (c *userListCmd) Run(ctx context.Context, std streams) error {
	if c.Limit < 1 {
		return &exitError{2, errors.New("--limit must be 1 or more")}
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var active *bool
	if c.Inactive {
		active = new(bool)
	}
	users, err := db.ListUsers(ctx, c.After, room.Role(c.Role), active, c.Limit)
	if err == nil {
		err = printUsers(std.Out, users, c.JSON)
	}
	if err == nil && len(users) == c.Limit {
		_, err = fmt.Fprintf(std.Err, "There may be more: --after %d\n", users[len(users)-1].ID)
	}
	return err
}
