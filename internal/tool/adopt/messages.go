package adopt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// selectMessages orders the messages by room, and within a room as they are numbered.
func (t *Tables) selectMessages() string {
	id, created := column("m", t.MessageID), column("m", t.MessageCreated)
	customer, therapist := column("c", t.ConversationCustomer), column("c", t.ConversationTherapist)
	return fmt.Sprintf(`
SELECT %[1]s::text, c.%[2]s IS NOT NULL, coalesce(%[3]s::bigint, 0), coalesce(%[4]s::bigint, 0), coalesce(%[5]s::bigint, 0),
	coalesce(%[6]s::text, ''), %[7]s::timestamptz
FROM %[8]s m LEFT JOIN %[9]s c ON c.%[2]s = %[10]s
ORDER BY %[3]s, %[4]s, %[7]s, %[1]s`,
		id, pgx.Identifier{t.ConversationID}.Sanitize(), customer, therapist, column("m", t.MessageSender),
		column("m", t.MessageText), created, quote(t.Messages), quote(t.Conversations), column("m", t.MessageConversation))
}

func (im *importer) importMessages(ctx context.Context) error {
	return importRows(ctx, im, im.o.Tables.selectMessages(), func(rows pgx.Rows) (m postgres.ImportedMessage, ok bool, err error) {
		var id string
		var inRoom bool
		var at *time.Time
		if err := rows.Scan(&id, &inRoom, &m.Room.Customer, &m.Room.Therapist, &m.Sender, &m.Text, &at); err != nil {
			return m, false, err
		}
		im.report.Messages.Read++
		if kind := im.checkMessage(&m, inRoom, at); kind != "" {
			im.report.Messages.LeftOut++
			im.report.add(kind, 1, id)
			return m, false, nil
		}
		if m.Text == "" {
			im.report.add("empty_text", 1, id)
		}
		m.At = at.UTC().Truncate(time.Millisecond) // the precision of roomspa
		m.ID = messageID(id, m.At)
		return m, true, nil
	}, func(m postgres.ImportedMessage) int { return len(m.Text) }, im.writeMessages)
}

// checkMessage returns the finding if a message cannot be imported, or "". It sets the role
// of the sender.
func (im *importer) checkMessage(m *postgres.ImportedMessage, inRoom bool, at *time.Time) string {
	switch {
	case !inRoom:
		return "no_conversation"
	case im.skippedRooms[m.Room]:
		return "conversation_left"
	case !utf8.ValidString(m.Text) || strings.IndexByte(m.Text, 0) >= 0:
		return "unreadable_text"
	case at == nil:
		return "no_time"
	case m.Sender == m.Room.Customer:
		m.SenderRole = room.Customer
	case m.Sender == m.Room.Therapist:
		m.SenderRole = room.Therapist
	default:
		return "foreign_sender"
	}
	return ""
}

func (im *importer) writeMessages(ctx context.Context, batch []postgres.ImportedMessage) error {
	done, err := im.target.ImportMessages(ctx, batch, !im.o.Rehearse)
	if err != nil {
		return err
	}
	im.report.Messages.Added += done.Added
	im.report.Messages.Known += done.Known + done.Expired
	for _, id := range done.Changed {
		im.report.add("message_changed", 1, id.String())
	}
	im.report.add("late", done.Late)
	im.report.add("erased_message", done.Erased)
	im.report.add("expired", done.Expired)
	return nil
}

// messageID returns a UUIDv7 (RFC 9562 §5.7) that depends only on the time and the
// predecessor's id. Even ids that are UUIDs are replaced: replicas look for recent messages
// by ranges of ids, which must be ranges of time.
func messageID(theirs string, at time.Time) room.ID {
	sum := sha256.Sum256([]byte("roomspa import django message " + theirs))
	id := room.ID(sum[:16])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}
