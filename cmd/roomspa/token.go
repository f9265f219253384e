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
	Mint    tokenMintCmd    `cmd:"" help:"Sign an access token for a user."`
	Inspect tokenInspectCmd `cmd:"" help:"Print the claims of a token, and why it would be refused."`
}

type tokenMintCmd struct {
	databaseFlags
	User       string        `arg:"" help:"User id. With --database-url also an e-mail address or a phone number."`
	JWTSecrets []string      `name:"jwt-secret" sep:"none" required:"" placeholder:"SECRET" help:"Comma-separated HS256 secrets of the server. The first one signs the token."`
	TTL        time.Duration `name:"ttl" default:"5m" env:"-" help:"Lifetime of the token."`
	JSON       bool          `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*tokenMintCmd) Help() string {
	return `Signs an access token as the server does, and prints only the token to standard output. With --database-url (or its
environment variable) the user must exist. Without it, the program contacts nothing.

Examples:
  roomspa token mint 7
  roomspa connect wss://host/ws/chat/7/8/ --token "$(roomspa token mint 7 --ttl 1h)"`
}

// Run signs a token.
func (c *tokenMintCmd) Run(ctx context.Context, std streams) error {
	keys, err := auth.NewKeys(auth.ParseSecrets(c.JWTSecrets...))
	if err != nil {
		return &exitError{2, fmt.Errorf("--jwt-secret: %w", err)}
	}
	id, err := c.userID(ctx)
	if err != nil {
		return err
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

// userID finds the user in the database if one is given.
func (c *tokenMintCmd) userID(ctx context.Context) (room.UserID, error) {
	if c.DatabaseURL == "" {
		id, ok := room.ParseUserID(c.User)
		if !ok || c.TTL < time.Second {
			return 0, &exitError{2, errors.New("the user id must be a number, and --ttl at least 1s")}
		}
		return id, nil
	}
	db, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	u, err := db.FindUser(ctx, c.User)
	if errors.Is(err, room.ErrNotFound) {
		err = fmt.Errorf("there is no user %s", c.User)
	}
	return u.ID, err
}
