package adopt

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func (t *Tables) conversations() string {
	customer, therapist := column("c", t.ConversationCustomer), column("c", t.ConversationTherapist)
	id, role := column("c", t.ConversationID), pgx.Identifier{t.UserRole}.Sanitize()
	return fmt.Sprintf(`
SELECT %[1]s::text, coalesce(%[2]s::bigint, 0), coalesce(%[3]s::bigint, 0), %[4]s::timestamptz, cu.%[5]s::text, th.%[5]s::text
FROM %[6]s c
LEFT JOIN %[7]s cu ON cu.%[8]s = %[2]s
LEFT JOIN %[7]s th ON th.%[8]s = %[3]s
ORDER BY %[2]s, %[3]s, %[4]s::timestamptz, %[1]s`,
		id, customer, therapist, column("c", t.ConversationCreated), role, quote(t.Conversations), quote(t.Users), pgx.Identifier{t.UserID}.Sanitize())
}

func (im *importer) conversations(ctx context.Context) error {
	var batch []postgres.ImportedConversation
	var last room.Room
	flush := func() error {
		err := im.writeConversations(ctx, batch)
		batch = batch[:0]
		return err
	}
	err := im.source.each(ctx, im.o.Tables.conversations(), func(rows pgx.Rows) error {
		var id string
		var c postgres.ImportedConversation
		var created *time.Time
		var customer, therapist *string // roles; nil where there is no such user
		if err := rows.Scan(&id, &c.Room.Customer, &c.Room.Therapist, &created, &customer, &therapist); err != nil {
			return fmt.Errorf("read a conversation: %w", err)
		}
		im.report.Conversations.Read++
		if why := im.judgeRoom(c.Room, customer, therapist); why != "" {
			im.leaveRoom(c.Room, why, id)
			return im.tooMuchLeftOut()
		}
		if c.Room == last {
			im.report.find("merged_conversations", id)
			im.report.Conversations.Known++
			return nil
		}
		last = c.Room
		c.ID, c.CreatedAt = conversationID(id), im.now
		if created != nil {
			c.CreatedAt = *created
		}
		if batch = append(batch, c); len(batch) < batchRows {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return err
}

// judgeRoom returns why nobody could enter a room.
func (im *importer) judgeRoom(r room.Room, customer, therapist *string) string {
	if customer == nil || therapist == nil || im.noUser[r.Customer] || im.noUser[r.Therapist] {
		return "no_such_user"
	}
	c, _ := im.role(*customer)
	t, _ := im.role(*therapist)
	if c != room.Customer || t != room.Therapist {
		return "wrong_role"
	}
	return ""
}

func (im *importer) leaveRoom(r room.Room, why, id string) {
	im.report.Conversations.LeftOut++
	im.report.find(why, id)
	im.noRoom[r] = true
}

func (im *importer) writeConversations(ctx context.Context, batch []postgres.ImportedConversation) error {
	if len(batch) == 0 {
		return nil
	}
	done, err := im.target.ImportConversations(ctx, batch, !im.o.Rehearse)
	if err != nil {
		return err
	}
	im.report.Conversations.Added += done.Added
	im.report.Conversations.Known += done.Known
	for _, r := range done.Taken {
		im.leaveRoom(r, "conversation_taken", fmt.Sprintf("of customer %d and therapist %d", r.Customer, r.Therapist))
	}
	im.tell(false)
	return nil
}

// conversationID keeps an id that is a uuid, and makes one of any other, always the
// same.
func conversationID(theirs string) room.ID {
	if id, err := room.ParseID(theirs); err == nil {
		return id
	}
	sum := sha256.Sum256([]byte("roomspa import django conversation " + theirs))
	id := room.ID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8 (RFC 9562 §5.8)
	return id
}
