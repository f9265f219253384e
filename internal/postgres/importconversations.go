package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// An ImportedConversation is a conversation from another system.
type ImportedConversation struct {
	ID        room.ID
	Room      room.Room
	CreatedAt time.Time
}

// ImportedConversations is the result of an import of conversations.
type ImportedConversations struct {
	Added int64
	Known int64       // the room already has a conversation, which keeps its id
	Taken []room.Room // the conversation of another room has the same id
}

// importConversations is ordered like createConversations, so that it cannot deadlock
// with a replica.
const importConversations = `
INSERT INTO roomspa.conversations (id, customer_id, therapist_id, created_at)
SELECT i.id, i.customer_id, i.therapist_id, i.created_at
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS i (id, customer_id, therapist_id, created_at)
ORDER BY i.customer_id, i.therapist_id
ON CONFLICT DO NOTHING`

// ImportConversations adds the conversations of rooms that have none, in one transaction.
// If write is false, it only returns what it would do. Rooms must be unique.
func (db *DB) ImportConversations(ctx context.Context, cs []ImportedConversation, write bool) (ImportedConversations, error) {
	var done ImportedConversations
	ids, created := make([]room.ID, len(cs)), make([]time.Time, len(cs))
	customers, therapists := make([]int64, len(cs)), make([]int64, len(cs))
	for i, c := range cs {
		ids[i], created[i] = c.ID, c.CreatedAt
		customers[i], therapists[i] = int64(c.Room.Customer), int64(c.Room.Therapist)
	}
	err := db.transaction(ctx, func(tx pgx.Tx) error {
		existing := func() (map[room.Room]bool, error) {
			rows, _ := tx.Query(ctx, roomsOfImport, customers, therapists)
			found := map[room.Room]bool{}
			var r room.Room
			var id room.ID
			_, err := pgx.ForEachRow(rows, []any{&r.Customer, &r.Therapist, &id}, func() error { found[r] = true; return nil })
			return found, err
		}
		before, err := existing()
		if err != nil {
			return err
		}
		done = ImportedConversations{Known: int64(len(before)), Added: int64(len(cs) - len(before))}
		if !write {
			return nil
		}
		if _, err := tx.Exec(ctx, importConversations, ids, customers, therapists, created); err != nil {
			return err
		}
		after, err := existing()
		for _, c := range cs {
			if err == nil && !after[c.Room] {
				done.Taken = append(done.Taken, c.Room)
				done.Added--
			}
		}
		return err
	})
	if err != nil {
		return ImportedConversations{}, fmt.Errorf("import conversations: %w", err)
	}
	return done, nil
}
