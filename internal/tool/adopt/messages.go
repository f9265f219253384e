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

// messages come room by room, in the order in which they are numbered.
func (t *Tables) messages() string {
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

func (im *importer) messages(ctx context.Context) error {
	var batch []postgres.ImportedMessage
	bytes := 0
	flush := func() error {
		err := im.writeMessages(ctx, batch)
		batch, bytes = batch[:0], 0
		return err
	}
	err := im.source.each(ctx, im.o.Tables.messages(), func(rows pgx.Rows) error {
		var id string
		var inRoom bool
		var m postgres.ImportedMessage
		var at *time.Time
		if err := rows.Scan(&id, &inRoom, &m.Room.Customer, &m.Room.Therapist, &m.Sender, &m.Text, &at); err != nil {
			return fmt.Errorf("read a message: %w", err)
		}
		im.report.Messages.Read++
		if why := im.judgeMessage(&m, inRoom, at); why != "" {
			im.report.Messages.LeftOut++
			im.report.find(why, id)
			return nil
		}
		if m.Text == "" {
			im.report.find("empty_text", id)
		}
		m.At = at.UTC().Truncate(time.Millisecond) // as all of ours
		m.ID = messageID(id, m.At)
		batch = append(batch, m)
		if bytes += len(m.Text); len(batch) < batchRows && bytes < batchBytes {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return err
}

// judgeMessage returns why a message cannot come over, and finds the sender's side.
func (im *importer) judgeMessage(m *postgres.ImportedMessage, inRoom bool, at *time.Time) string {
	switch {
	case !inRoom:
		return "no_conversation"
	case im.noRoom[m.Room]:
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
	if len(batch) == 0 {
		return nil
	}
	done, err := im.target.ImportMessages(ctx, batch, !im.o.Rehearse)
	if err != nil {
		return err
	}
	im.report.Messages.Added += done.Added
	im.report.Messages.Known += done.Known
	for _, id := range done.Changed {
		im.report.find("message_changed", id.String())
	}
	im.report.findMany("late", done.Late)
	im.report.findMany("erased_message", done.Erased)
	im.tell(false)
	return nil
}

// messageID makes a UUIDv7 (RFC 9562 §5.7) of the time and of the id that the
// message has in the predecessor, always the same. Theirs are not kept even where
// they are uuids: a range of ours is a range of time, and replicas look for new
// messages by it.
func messageID(theirs string, at time.Time) room.ID {
	sum := sha256.Sum256([]byte("roomspa import django message " + theirs))
	id := room.ID(sum[:16])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}
