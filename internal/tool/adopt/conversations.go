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

func (t *Tables) selectConversations() string {
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

func (im *importer) importConversations(ctx context.Context) error {
	var last room.Room
	return importRows(ctx, im, im.o.Tables.selectConversations(), func(rows pgx.Rows) (c postgres.ImportedConversation, ok bool, err error) {
		var id string
		var created *time.Time
		var customer, therapist *string // roles; nil if there is no such user
		if err := rows.Scan(&id, &c.Room.Customer, &c.Room.Therapist, &created, &customer, &therapist); err != nil {
			return c, false, err
		}
		im.report.Conversations.Read++
		if kind := im.checkRoom(c.Room, customer, therapist); kind != "" {
			im.skipRoom(c.Room, kind, id)
			return c, false, nil
		}
		if c.Room == last {
			im.report.add("merged_conversations", 1, id)
			im.report.Conversations.Known++
			return c, false, nil
		}
		last = c.Room
		c.ID, c.CreatedAt = conversationID(id), im.now
		if created != nil {
			c.CreatedAt = *created
		}
		return c, true, nil
	}, func(postgres.ImportedConversation) int { return 0 }, im.writeConversations)
}

// checkRoom returns the finding if nobody could enter the room, or "".
func (im *importer) checkRoom(r room.Room, customer, therapist *string) string {
	if customer == nil || therapist == nil || im.skippedUsers[r.Customer] || im.skippedUsers[r.Therapist] {
		return "no_such_user"
	}
	c, _ := im.role(*customer)
	t, _ := im.role(*therapist)
	if c != room.Customer || t != room.Therapist {
		return "wrong_role"
	}
	return ""
}

func (im *importer) skipRoom(r room.Room, kind, id string) {
	im.report.Conversations.LeftOut++
	im.report.add(kind, 1, id)
	im.skippedRooms[r] = true
}

func (im *importer) writeConversations(ctx context.Context, batch []postgres.ImportedConversation) error {
	done, err := im.target.ImportConversations(ctx, batch, !im.o.Rehearse)
	if err != nil {
		return err
	}
	im.report.Conversations.Added += done.Added
	im.report.Conversations.Known += done.Known
	for _, r := range done.Taken {
		im.skipRoom(r, "conversation_taken", fmt.Sprintf("of customer %d and therapist %d", r.Customer, r.Therapist))
	}
	return nil
}

// conversationID returns an id that is a UUID unchanged. For any other id it returns a UUID
// that depends only on that id.
func conversationID(theirs string) room.ID {
	if id, err := room.ParseID(theirs); err == nil {
		return id
	}
	sum := sha256.Sum256([]byte("roomspa import django conversation " + theirs))
	id := room.ID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8 (RFC 9562 §5.8)
	return id
}
