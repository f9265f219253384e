package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

type userCmd struct {
	Create     userCreateCmd     `cmd:"" help:"Create a user."`
	List       userListCmd       `cmd:"" help:"List users."`
	Show       userShowCmd       `cmd:"" help:"Show users by id, e-mail address or phone number."`
	Unread     userUnreadCmd     `cmd:"" help:"Show how far a user has received and read each conversation, and what is unread."`
	Deactivate userDeactivateCmd `cmd:"" help:"Deactivate users, and close their sockets."`
	Activate   userActivateCmd   `cmd:"" help:"Activate users that were deactivated."`
	SignOut    userSignOutCmd    `cmd:"" name:"sign-out" help:"Revoke all tokens of users, and close their sockets."`
	Erase      userEraseCmd      `cmd:"" help:"Delete the personal data of a user, or of all that no longer exist, and the text of their messages. This cannot be undone."`
}

type userListCmd struct {
	databaseFlags
	Role     string      `enum:",customer,therapist,support,none" default:"" env:"-" placeholder:"ROLE" help:"List only users with this role: customer, therapist, support, or none. Users of another application whose role roomspa does not know have the role none and may enter no room."`
	Inactive bool        `env:"-" help:"List only deactivated users."`
	After    room.UserID `env:"-" placeholder:"ID" help:"List only users with a higher id."`
	Limit    int         `default:"100" env:"-" help:"Maximum number of users."`
	JSON     bool        `name:"json" env:"-" help:"Print one JSON object per line."`
}

// Help is shown by --help.
func (*userListCmd) Help() string {
	return `Lists users by ascending id. If there may be more, the last line on standard error tells how to continue.

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

type userShowCmd struct {
	databaseFlags
	Users []string `arg:"" name:"user" help:"Ids, e-mail addresses or phone numbers."`
	JSON  bool     `name:"json" env:"-" help:"Print one JSON object per line."`
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
	return eachUser(ctx, db, c.Users, func(u room.User) error {
		return printUsers(std.Out, []room.User{u}, c.JSON)
	})
}

// eachUser calls do for each user, and continues if one does not exist. The error names
// those.
func eachUser(ctx context.Context, db *postgres.DB, users []string, do func(room.User) error) error {
	var missing error
	for _, name := range users {
		u, err := db.FindUser(ctx, name)
		if err == nil {
			err = do(u)
		}
		switch {
		case errors.Is(err, room.ErrNotFound):
			missing = errors.Join(missing, fmt.Errorf("there is no user %s", name))
		case err != nil:
			return err
		}
	}
	return missing
}

// printUsers prints one line per user.
func printUsers(out io.Writer, users []room.User, asJSON bool) error {
	for i := range users {
		u := &users[i]
		if asJSON {
			if err := json.NewEncoder(out).Encode(userJSON(u)); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%-6d %-10s %s", u.ID, u.Role, u.Contact())
		if u.Email != "" && u.Phone != "" {
			line += "  " + u.Phone
		}
		if !u.Active {
			line += "  (deactivated)"
		}
		if !u.TokensValidAfter.IsZero() {
			line += "  (tokens issued before " + u.TokensValidAfter.Format(time.RFC3339) + " are refused)"
		}
		if _, err := fmt.Fprintln(out, logging.Printable(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func userJSON(u *room.User) any {
	out := struct {
		ID     room.UserID `json:"id"`
		Email  string      `json:"email,omitempty"`
		Phone  string      `json:"phone,omitempty"`
		Role   room.Role   `json:"role"`
		Active bool        `json:"is_active"`
		After  *time.Time  `json:"tokens_valid_after,omitempty"`
	}{u.ID, u.Email, u.Phone, u.Role, u.Active, nil}
	if !u.TokensValidAfter.IsZero() {
		out.After = &u.TokensValidAfter
	}
	return out
}
