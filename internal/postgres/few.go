package postgres

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// few is up to how many messages are inserted one by one: so many executions of a
// small plan cost the server less than one of the large plan for any number.
const few = 3

// insertMessage stores one draft under the conversation's next number. It returns no
// row where the draft is stored already, or has no conversation. The conversation is
// locked, by a statement before.
const insertMessage = `
INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, client_message_id, body, created_at)
SELECT c.id, coalesce((
		SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1
	), 0) + 1,
	(lpad(to_hex((extract(epoch FROM t.at) * 1000)::bigint), 12, '0') || $2)::uuid, $3, $4, nullif($5, ''), $6, t.at
FROM roomspa.conversations c, (SELECT date_trunc('milliseconds', clock_timestamp()) AS at OFFSET 0) t
WHERE c.id = $1
ON CONFLICT (conversation_id, sender_id, client_message_id) WHERE client_message_id IS NOT NULL DO NOTHING
RETURNING seq, id, created_at`

// queueFew queues the drafts one by one. Each that is stored is answered, and left is told of
// the others.
func queueFew(b *pgx.Batch, ds []*draft, left func(*draft)) {
	for _, d := range ds {
		in := d.ask.draft
		b.Queue(insertMessage, d.ask.conversation, uuid7Random(), int64(in.Sender), string(in.SenderRole), in.ClientMessageID, in.Text).
			QueryRow(func(row pgx.Row) error {
				var (
					seq int64
					id  room.ID
					at  time.Time
				)
				switch err := row.Scan(&seq, &id, &at); {
				case errors.Is(err, pgx.ErrNoRows):
					left(d)
				case err != nil:
					return err
				default:
					d.answer, d.err = appended{message: stored(d, seq, id, at)}, nil
				}
				return nil
			})
	}
}

// stored is the message that a draft has become.
func stored(d *draft, seq int64, id room.ID, at time.Time) room.Message {
	return room.Message{
		ID: id, Conversation: d.ask.conversation, Seq: seq, Sender: d.ask.draft.Sender, SenderRole: d.ask.draft.SenderRole,
		Text: d.ask.draft.Text, ClientMessageID: d.ask.draft.ClientMessageID, At: at.UTC(),
	}
}
