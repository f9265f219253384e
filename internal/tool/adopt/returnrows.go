package adopt

import (
	"context"
	"fmt"
	"strings"
)

// A value is what a column of Django's gets.
type value struct{ column, sql string }

// columns returns the list of those columns that the live table has, and their values.
func (s *source) columns(table string, values []value) (names, expressions string) {
	var n, e []string
	for _, v := range values {
		if s.has(table, v.column) {
			n, e = append(n, v.column), append(e, s.write(table, v.column, v.sql))
		}
	}
	return strings.Join(n, ", "), strings.Join(e, ", ")
}

// insertConversations returns the statement that adds the rooms which Django lacks, with both
// people, if these exist.
func (s *source) insertConversations() string {
	names, values := s.columns(conversationsTable, []value{
		{"id", "c.number"},
		{"created_at", "c.created_at"},
		{"is_active", "true"},
		{"updated_at", `coalesce((SELECT m.created_at FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1), c.created_at)`},
	})
	return `
WITH added AS (
	INSERT INTO {chat_conversation} (` + names + `) OVERRIDING SYSTEM VALUE
	SELECT ` + values + `
	FROM roomspa.conversations c
	WHERE NOT EXISTS (SELECT FROM {chat_conversation} x WHERE x.id = c.number)
		AND EXISTS (SELECT FROM {users} u WHERE u.id = c.customer_id) AND EXISTS (SELECT FROM {users} u WHERE u.id = c.therapist_id)
	ORDER BY c.number
	RETURNING id
)
INSERT INTO {chat_participants} (conversation_id, userprofile_id)
SELECT a.id, p.user_id
FROM added a JOIN roomspa.conversations c ON c.number = a.id CROSS JOIN LATERAL (VALUES (c.customer_id), (c.therapist_id)) p (user_id)
ORDER BY a.id, p.user_id`
}

func (a *Adoption) returnConversations(ctx context.Context) (said string, err error) {
	rows, err := a.write(ctx, statement{sql: a.src.insertConversations()})
	return fmt.Sprintf("%d added", rows/2), err
}

// insertMessages returns the statement that adds the messages of a range of numbers which Django
// lacks. The receiver of support is the customer.
func (s *source) insertMessages() string {
	const isRead = `(m.read_at IS NOT NULL OR k.read_seq >= m.seq)`
	names, values := s.columns(messagesTable, []value{
		{"id", "m.number"},
		{"content", "m.body"},
		{"sender_id", "p.sender_id"},
		{"receiver_id", "p.receiver_id"},
		{"conversation_id", "c.number"},
		{"created_at", "m.created_at"},
		{"is_read", "coalesce(" + isRead + ", false)"},
		{"read_at", "CASE WHEN " + isRead + " THEN coalesce(m.read_at, k.changed_at) END"},
		{"message_type", "coalesce(m.message_type, 'text')"},
		{"metadata", "m.metadata"},
	})
	return `
INSERT INTO {chat_message} (` + names + `) OVERRIDING SYSTEM VALUE
SELECT ` + values + `
FROM roomspa.messages m
JOIN roomspa.conversations c ON c.id = m.conversation_id
CROSS JOIN LATERAL (
	SELECT {m_sender} AS sender_id,
		(SELECT u.id FROM {users} u WHERE u.id = CASE WHEN m.sender_id = c.customer_id THEN c.therapist_id ELSE c.customer_id END) AS receiver_id
) p
LEFT JOIN roomspa.cursors k ON k.conversation_id = m.conversation_id AND k.user_id = p.receiver_id
WHERE m.number > $1 AND m.number <= $2 AND NOT {m_is_adopted}
	AND p.sender_id IS NOT NULL AND p.receiver_id IS NOT NULL
	AND EXISTS (SELECT FROM {chat_conversation} x WHERE x.id = c.number)
	AND NOT EXISTS (SELECT FROM {chat_message} d WHERE d.id = m.number)
ORDER BY m.number`
}

// countLeft counts the messages that cannot be written.
const countLeft = `
SELECT count(*) FROM roomspa.messages m
WHERE m.number > $1 AND NOT {m_is_adopted} AND NOT EXISTS (SELECT FROM {chat_message} d WHERE d.id = m.number)`

func (a *Adoption) returnMessages(ctx context.Context, before state) (said string, err error) {
	var written, left int64
	through := max(before.returnedThrough, before.firstOwn-1)
	if err := a.read(ctx, statement{countLeft, []any{through}}, &left); err != nil {
		return "", err
	}
	insert := a.src.insertMessages()
	err = a.ranges(ctx, "messages", through, left, func(from, to int64) error {
		rows, err := a.write(ctx, statement{insert, []any{from, to}})
		written += rows
		return err
	})
	if err != nil {
		return "", err
	}
	if err := a.read(ctx, statement{countLeft, []any{through}}, &left); err != nil {
		return "", err
	}
	said = fmt.Sprintf("%d written", written)
	if left > 0 {
		said += fmt.Sprintf("; %d not: sender or receiver no longer exists in Django, or they came just now", left)
	}
	return said, err
}

// The statements of returnChanges, each for a range of numbers: read marks by the cursors; texts
// that were erased in roomspa; and conversations that became one in roomspa, whose messages go
// to the one that the users have seen them in.
const (
	returnMarks = `
FROM roomspa.messages m JOIN roomspa.cursors k ON k.conversation_id = m.conversation_id AND k.read_seq >= m.seq, {bare_messages} d
WHERE m.number = x.id AND d.number = x.id AND x.id > $1::bigint AND x.id <= $2::bigint AND m.number > $1 AND m.number <= $2
	AND k.user_id = d.receiver_id AND NOT d.is_read`

	returnErasures = `
FROM roomspa.messages m
WHERE m.number = x.id AND x.id > $1::bigint AND x.id <= $2::bigint AND m.number > $1 AND m.number <= $2 AND m.erased_at IS NOT NULL AND x.content <> ''`

	returnPlaces = `
UPDATE {chat_message} x SET conversation_id = c.number
FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id
WHERE m.number = x.id AND x.id > $1::bigint AND x.id <= $2::bigint AND m.number > $1 AND m.number <= $2
	AND x.conversation_id IS DISTINCT FROM c.number AND EXISTS (SELECT FROM {chat_conversation} o WHERE o.id = c.number)`
)

const countNumbers = `SELECT count(*) FROM roomspa.messages`

// update returns a statement that sets those of the columns that the live table has.
func (s *source) update(table string, values []value, from string) string {
	var set []string
	for _, v := range values {
		if s.has(table, v.column) {
			set = append(set, v.column+" = "+s.write(table, v.column, v.sql))
		}
	}
	if len(set) == 0 {
		return `SELECT WHERE $1::bigint > $2::bigint`
	}
	return "UPDATE " + s.name(table) + " x SET " + strings.Join(set, ", ") + from
}

func (a *Adoption) returnChanges(ctx context.Context) (said string, err error) {
	readAt := "coalesce(" + strings.ReplaceAll(a.src.moment(messagesTable, "read_at"), "NULL::timestamptz", "NULL") + ", k.changed_at)"
	steps := []string{
		a.src.update(messagesTable, []value{{"is_read", "true"}, {"read_at", readAt}}, returnMarks),
		a.src.update(messagesTable, []value{{"content", "''"}, {"metadata", "NULL::json"}, {"message_type", "'text'"}}, returnErasures),
	}
	if a.src.has(messagesTable, "conversation_id") {
		steps = append(steps, returnPlaces)
	}
	var all int64
	if err := a.read(ctx, statement{sql: countNumbers}, &all); err != nil {
		return "", err
	}
	counts := make([]int64, 3)
	err = a.ranges(ctx, "read marks", 0, all, func(from, to int64) error {
		for i, sql := range steps {
			rows, err := a.write(ctx, statement{sql, []any{from, to}})
			if err != nil {
				return err
			}
			counts[i] += rows
		}
		return nil
	})
	return fmt.Sprintf("%d messages read, %d emptied, %d moved to the conversation that their room has now", counts[0], counts[1], counts[2]), err
}

// The statements of returnOverviews: what Django's list of conversations shows.
const (
	newestMessages = `
FROM (
	SELECT c.number AS id, last.number, last.created_at
	FROM roomspa.conversations c
	CROSS JOIN LATERAL (
		SELECT m.number, m.created_at FROM roomspa.messages m JOIN {chat_message} d ON d.id = m.number
		WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1
	) last
) l
WHERE x.id = l.id AND `

	leftConversations = `
UPDATE {chat_conversation} x SET last_message_id = (SELECT max(o.id) FROM {chat_message} o WHERE o.conversation_id = x.id)
FROM {chat_message} d WHERE d.id = x.last_message_id AND d.conversation_id <> x.id`
)

func (a *Adoption) returnOverviews(ctx context.Context) (said string, err error) {
	var statements []statement
	if updated := a.src.moment(conversationsTable, "updated_at"); a.src.has(conversationsTable, "updated_at") {
		statements = append(statements, statement{sql: a.src.update(conversationsTable,
			[]value{{"updated_at", "greatest(" + updated + ", l.created_at)"}}, newestMessages+updated+" < l.created_at")})
	}
	if a.src.has(conversationsTable, "last_message_id") {
		if a.src.has(messagesTable, "conversation_id") {
			statements = append(statements, statement{sql: leftConversations})
		}
		statements = append(statements, statement{sql: a.src.update(conversationsTable,
			[]value{{"last_message_id", "l.number"}}, newestMessages+"x.last_message_id IS DISTINCT FROM l.number")})
	}
	rows, err := a.write(ctx, statements...)
	return fmt.Sprintf("%d conversations have a new last message", rows), err
}
