package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

type tokenCmd struct {
	Mint    tokenMintCmd    `cmd:"" help:"Sign a token for a user."`
	Inspect tokenInspectCmd `cmd:"" help:"What a token says, and why it would be refused."`
}

// anyDatabase is a database that is asked only where it is given.
type anyDatabase struct{ database }

// find returns the user, or nil where no database was given.
func (d *anyDatabase) find(ctx context.Context, which string) (*room.User, error) {
	if d.DatabaseURL == "" {
		return nil, nil
	}
	db, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	u, err := db.FindUser(ctx, which)
	if errors.Is(err, room.ErrNotFound) {
		return nil, fmt.Errorf("there is no user %s", which)
	}
	return &u, err
}

type tokenMintCmd struct {
	anyDatabase
	User       string        `arg:"" help:"The user's id; with --database-url also an e-mail address or phone number."`
	JWTSecrets []string      `name:"jwt-secret" sep:"," required:"" placeholder:"SECRET" help:"The secrets of the server; the first one signs."`
	TTL        time.Duration `name:"ttl" default:"5m" env:"-" help:"How long it is good for."`
	JSON       bool          `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*tokenMintCmd) Help() string {
	return `Signs an access token as the server does. Only the token goes to standard output. With --database-url (or its
environment variable) the user must exist; without, nothing is contacted.

Examples:
  roomspa token mint 7
  roomspa connect wss://host/ws/chat/7/8/ --token "$(roomspa token mint 7 --ttl 1h)"`
}

// Run signs a token.
func (c *tokenMintCmd) Run(ctx context.Context, std streams) error {
	keys, err := auth.NewKeys(c.JWTSecrets)
	if err != nil {
		return &exitError{2, fmt.Errorf("--jwt-secret: %w", err)}
	}
	u, err := c.find(ctx, c.User)
	if err != nil {
		return err
	}
	id, ok := room.ParseUserID(c.User)
	if u != nil {
		id = u.ID
	} else if !ok || c.TTL < time.Second {
		return &exitError{2, errors.New("a user's id is needed, and a --ttl of 1s or more")}
	}
	token, claims, err := keys.Mint(auth.Access, id, time.Now(), c.TTL)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.Out).Encode(map[string]any{"access_token": token, "user_id": id, "expires_at": claims.ExpiresAt})
	}
	_, err = fmt.Fprintln(std.Out, token)
	return err
}
