//go:build mutant_idempotency_off

package postgres

import (
	"context"

	"github.com/roomspa/roomspa/internal/room"
)

// Append stores whatever is sent, however often.
func (db *DB) Append(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, duplicate bool, err error) {
	id := d.ClientMessageID
	d.ClientMessageID = ""
	a, _, err := db.committer.ask(ctx, appending{conversation, d})
	a.message.ClientMessageID = id
	return a.message, false, err
}
