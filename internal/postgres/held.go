package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

const heldConversations = `
WITH free AS MATERIALIZED (
	SELECT id FROM roomspa.conversations WHERE id = ANY($1) FOR UPDATE SKIP LOCKED
)
SELECT id FROM roomspa.conversations WHERE id = ANY($1) AND id NOT IN (SELECT id FROM free)`

// held returns which of the drafts' conversations another transaction has locked.
func (db *DB) held(ctx context.Context, ds []*draft) (map[room.ID]bool, error) {
	ids := make([]room.ID, len(ds))
	for i, d := range ds {
		ids[i] = d.ask.conversation
	}
	held := map[room.ID]bool{}
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, heldConversations, ids)
		var id room.ID
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
			held[id] = true
			return nil
		})
		return err
	})
	return held, err
}
