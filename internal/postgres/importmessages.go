package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// An ImportedMessage is a message from another system. Its ID must be the same in every
// import, since it identifies the message.
type ImportedMessage struct {
	ID         room.ID
	Room       room.Room
	Sender     room.UserID
	SenderRole room.Role
	Text       string
	At         time.Time
}

// ImportedMessages is the result of an import of messages.
type ImportedMessages struct {
	Added   int64
	Known   int64     // existed already and were not changed
	Changed []room.ID // of the known, those with another text
	Late    int64     // of the added, those older than a message with a lower number
	Erased  int64     // of the added, those without text because their sender was erased
	Expired int64     // not added: an earlier import added them, and they were deleted because of their age
}

const roomsOfImport = `
SELECT r.customer_id, r.therapist_id, c.id
FROM unnest($1::bigint[], $2::bigint[]) AS r (customer_id, therapist_id)
CROSS JOIN LATERAL (
	SELECT id FROM roomspa.conversations WHERE customer_id = r.customer_id AND therapist_id = r.therapist_id LIMIT 1
) c`

const knownMessages = `SELECT id, body, erased_at IS NOT NULL FROM roomspa.messages WHERE id = ANY($1)`

const tailsOfImport = `
SELECT c.id, m.seq, m.created_at, first.seq, first.created_at
FROM unnest($1::uuid[]) AS c (id)
CROSS JOIN LATERAL (
	SELECT seq, created_at FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
) m
CROSS JOIN LATERAL (
	SELECT seq, created_at FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq LIMIT 1
) first`

const importMessages = `
INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at, erased_at)
SELECT i.conversation_id, i.seq, i.id, i.sender_id, i.sender_role, i.body, i.created_at, CASE WHEN i.erased THEN now() END
FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[])
	AS i (conversation_id, seq, id, sender_id, sender_role, body, created_at, erased)`

// ImportMessages adds the messages that do not exist yet, in their order, under the next
// numbers of their conversations, in one transaction. If write is false, it only returns
// what it would do. The conversations must exist. Replicas may run meanwhile, but do not
// deliver the messages to open sockets. Where old messages were deleted, those that are older
// than what is left are not added again.
func (db *DB) ImportMessages(ctx context.Context, msgs []ImportedMessage, write bool) (ImportedMessages, error) {
	var done ImportedMessages
	err := db.transaction(ctx, func(tx pgx.Tx) (err error) {
		done, err = importBatch(ctx, tx, msgs, write)
		return err
	})
	if err != nil {
		return ImportedMessages{}, fmt.Errorf("import messages: %w", err)
	}
	return done, nil
}

type tail struct {
	seq   int64
	at    time.Time
	first int64     // seq of the oldest message; above 1 if older ones were deleted
	since time.Time // of the oldest message
}

// expired reports whether a message of that time would have been deleted already.
func (t *tail) expired(at time.Time) bool { return t.first > 1 && at.Before(t.since) }

func importBatch(ctx context.Context, tx pgx.Tx, msgs []ImportedMessage, write bool) (done ImportedMessages, err error) {
	conversations, err := findRooms(ctx, tx, msgs)
	if err != nil {
		return done, err
	}
	ids := make([]room.ID, 0, len(conversations))
	for _, id := range conversations {
		ids = append(ids, id)
	}
	if write { // a statement of its own, so that the next ones see what was committed before
		if _, err := tx.Exec(ctx, lockConversations, ids); err != nil {
			return done, err
		}
	}
	known, err := findKnown(ctx, tx, msgs)
	if err != nil {
		return done, err
	}
	tails, err := findTails(ctx, tx, ids)
	if err != nil {
		return done, err
	}
	senders := make([]int64, len(msgs))
	for i := range msgs {
		senders[i] = int64(msgs[i].Sender)
	}
	erased, err := userIDs(ctx, tx, erasedUsers, senders)
	if err != nil {
		return done, err
	}
	var rows importRows
	for i := range msgs {
		m := &msgs[i]
		if old, ok := known[m.ID]; ok {
			done.Known++
			if !old.erased && old.body != m.Text {
				done.Changed = append(done.Changed, m.ID)
			}
			continue
		}
		c, ok := conversations[m.Room]
		if !ok && write {
			return done, fmt.Errorf("room %+v has no conversation", m.Room)
		}
		last := tails[c]
		if last.expired(m.At) {
			done.Expired++
			continue
		}
		if m.At.Before(last.at) {
			done.Late++
		} else {
			last.at = m.At
		}
		last.seq++
		if ok { // otherwise nothing is written, and the conversation has no messages
			tails[c] = last
		}
		if erased[m.Sender] {
			done.Erased++
		}
		rows.add(c, last.seq, m, erased[m.Sender])
		done.Added++
	}
	if !write || done.Added == 0 {
		return done, nil
	}
	_, err = tx.Exec(ctx, importMessages, rows.conversations, rows.seqs, rows.ids, rows.senders, rows.roles, rows.bodies, rows.ats, rows.erased)
	return done, err
}

// importRows are the arguments of importMessages.
type importRows struct {
	conversations, ids []room.ID
	seqs, senders      []int64
	roles, bodies      []string
	ats                []time.Time
	erased             []bool
}

func (r *importRows) add(c room.ID, seq int64, m *ImportedMessage, erased bool) {
	text := m.Text
	if erased {
		text = ""
	}
	r.conversations, r.ids = append(r.conversations, c), append(r.ids, m.ID)
	r.seqs, r.senders = append(r.seqs, seq), append(r.senders, int64(m.Sender))
	r.roles, r.bodies = append(r.roles, string(m.SenderRole)), append(r.bodies, text)
	r.ats, r.erased = append(r.ats, m.At), append(r.erased, erased)
}

func findRooms(ctx context.Context, tx pgx.Tx, msgs []ImportedMessage) (map[room.Room]room.ID, error) {
	asked := map[room.Room]bool{}
	var customers, therapists []int64
	for i := range msgs {
		if r := msgs[i].Room; !asked[r] {
			asked[r] = true
			customers, therapists = append(customers, int64(r.Customer)), append(therapists, int64(r.Therapist))
		}
	}
	rows, _ := tx.Query(ctx, roomsOfImport, customers, therapists)
	found := map[room.Room]room.ID{}
	var r room.Room
	var id room.ID
	_, err := pgx.ForEachRow(rows, []any{&r.Customer, &r.Therapist, &id}, func() error { found[r] = id; return nil })
	return found, err
}

type knownMessage struct {
	body   string
	erased bool
}

func findKnown(ctx context.Context, tx pgx.Tx, msgs []ImportedMessage) (map[room.ID]knownMessage, error) {
	ids := make([]room.ID, len(msgs))
	for i := range msgs {
		ids[i] = msgs[i].ID
	}
	rows, _ := tx.Query(ctx, knownMessages, ids)
	found := map[room.ID]knownMessage{}
	var id room.ID
	var k knownMessage
	_, err := pgx.ForEachRow(rows, []any{&id, &k.body, &k.erased}, func() error { found[id] = k; return nil })
	return found, err
}

func findTails(ctx context.Context, tx pgx.Tx, ids []room.ID) (map[room.ID]tail, error) {
	rows, _ := tx.Query(ctx, tailsOfImport, ids)
	found := map[room.ID]tail{}
	var id room.ID
	var last tail
	_, err := pgx.ForEachRow(rows, []any{&id, &last.seq, &last.at, &last.first, &last.since}, func() error { found[id] = last; return nil })
	return found, err
}
