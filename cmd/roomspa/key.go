package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
)

type keyCmd struct {
	Rotate keyRotateCmd `cmd:"" help:"Make a new key. The old one opens for 30 hours, then replicas delete it."`
}

type keyRotateCmd struct {
	databaseFlags
	ForgetStories bool `env:"-" help:"The old key opens for 3 minutes only. Stories that are sealed with it cannot be read after that."`
	JSON          bool `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*keyRotateCmd) Help() string {
	return `Replicas seal everything that they send each other and store in Redis with a key that is in Postgres. This command makes a
new key. Replicas read it within 10 s and seal with it from 30 s on, without a restart. The old key only opens for 30 hours
more, because stories of handshakes are kept that long. Messages and sockets are not affected, and neither are the secrets of
tokens (--jwt-secret).

If the old key has leaked, add --forget-stories: it opens for 3 minutes only, and stories from before cannot be read any more.
You can do that during a rotation too: it makes no third key and ends the old one sooner. Otherwise a rotation is refused while
the old key of the previous one still opens.

Examples:
  roomspa key rotate
  roomspa key rotate --forget-stories`
}

// Run rotates the key.
func (c *keyRotateCmd) Run(ctx context.Context, std streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	current, old, err := db.RotateKey(ctx, c.ForgetStories)
	if _, ok := errors.AsType[*postgres.RotationError](err); ok {
		return fmt.Errorf("%w; wait until then, or add --forget-stories if the old key has leaked", err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.Out).Encode(map[string]any{
			"new": map[string]any{"id": current.ID.String(), "seals_at": current.SealsAt},
			"old": map[string]any{"id": old.ID.String(), "opens_until": old.OpensUntil},
		})
	}
	_, err = fmt.Fprintf(std.Out, "new key %s: seals from %s UTC\nold key %s: opens until %s UTC\n",
		current.ID, current.SealsAt.Format(time.DateTime), old.ID, old.OpensUntil.Format(time.DateTime))
	if err == nil && c.ForgetStories {
		_, err = fmt.Fprintln(std.Out, "Stories that are sealed with the old key cannot be read after that.")
	}
	return err
}
