package adopt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A source is the predecessor's schema as it is live, and the SQL that reads it.
type source struct {
	schema string
	zone   string // of times without one
	tables map[string]*table
	macros *strings.Replacer
}

// newSource builds the macros that [source.sql] replaces. Each is a subquery over one table whose
// columns have one form whatever the live schema: keys are the plain columns, so that their
// indexes are used.
func newSource(schema, zone string, tables map[string]*table) *source {
	s := &source{schema: schema, zone: zone, tables: tables}
	role := fmt.Sprintf(`CASE WHEN %s OR %s THEN 'support' WHEN %s IN ('customer', 'therapist') THEN %s ELSE 'none' END`,
		s.flag(usersTable, "is_staff", "false"), s.flag(usersTable, "is_superuser", "false"), s.text(usersTable, "role"), s.text(usersTable, "role"))
	isRead, created := s.flag(messagesTable, "is_read", "false"), "coalesce("+s.moment(messagesTable, "created_at")+", 'epoch')"
	users := s.subquery(usersTable, "x.id", s.text(usersTable, "name")+" AS name", s.text(usersTable, "email")+" AS email",
		s.text(usersTable, "phone_number")+" AS phone", role+" AS role", s.text(usersTable, "role")+" AS their_role",
		s.flag(usersTable, "is_active", "true")+" AS is_active", s.text(usersTable, "password")+" AS password",
		s.moment(usersTable, "date_created")+" AS created_at")
	participants := s.subquery(participantsTable, "x.conversation_id", "x.userprofile_id AS user_id")
	bare := s.subquery(messagesTable, "x.id AS number", "x.sender_id", s.key(messagesTable, "receiver_id")+" AS receiver_id",
		s.key(messagesTable, "conversation_id")+" AS conversation_id", created+" AS created_at", isRead+" AS is_read")
	base := strings.NewReplacer("{users}", users, "{participants}", participants, "{messages}", bare)
	withSides := strings.NewReplacer("{users}", users, "{messages}", bare, "{sides}", base.Replace(sides))
	subqueries := []string{
		"{users}", users, "{participants}", participants, "{sides}", base.Replace(sides), "{rooms}", withSides.Replace(rooms),
		"{conversations}", s.subquery(conversationsTable, "x.id", s.moment(conversationsTable, "updated_at")+" AS updated_at",
			s.moment(conversationsTable, "created_at")+" AS created_at"),
		"{messages}", s.subquery(messagesTable, "x.id AS number", "x.sender_id", s.key(messagesTable, "receiver_id")+" AS receiver_id",
			s.key(messagesTable, "conversation_id")+" AS conversation_id", "coalesce("+s.text(messagesTable, "content")+", '') AS body",
			created+" AS created_at", isRead+" AS is_read",
			fmt.Sprintf("CASE WHEN %s THEN coalesce(%s, %s) END AS read_at", isRead, s.moment(messagesTable, "read_at"), created),
			"nullif(nullif("+s.text(messagesTable, "message_type")+", 'text'), '') AS message_type", s.document()+" AS metadata"),
		"{bare_messages}", bare,
		"{chat_conversation}", s.name(conversationsTable), "{chat_message}", s.name(messagesTable),
		"{chat_participants}", s.name(participantsTable),
	}
	if s.hasBlacklist() {
		subqueries = append(subqueries, "{blacklist}", fmt.Sprintf(
			`(SELECT o.jti::text AS jti, %s AS user_id, %s AS expires_at, coalesce(%s, %s, now()) AS issued_at, coalesce(%s, now()) AS revoked_at FROM %s b JOIN %s o ON o.id = b.token_id)`,
			s.of("o", outstandingTable, "user_id", s.key), s.of("o", outstandingTable, "expires_at", s.moment),
			s.of("o", outstandingTable, "created_at", s.moment), s.of("b", blacklistedTable, "blacklisted_at", s.moment),
			s.of("b", blacklistedTable, "blacklisted_at", s.moment), s.name(blacklistedTable), s.name(outstandingTable)))
	}
	// What Django's table cannot hold is not compared.
	ourType, ourMetadata := "'text'", "NULL::text"
	if s.has(messagesTable, "message_type") {
		ourType = s.write(messagesTable, "message_type", "coalesce(m.message_type, 'text')")
	}
	if s.has(messagesTable, "metadata") {
		ourMetadata = "(" + strict("m.metadata") + ")::jsonb::text"
	}
	subqueries = append(subqueries, "{m_type}", ourType, "{m_metadata}", ourMetadata, "{m_sender}", base.Replace(senderInDjango))
	s.macros = strings.NewReplacer(append(subqueries, ownMacros...)...)
	return s
}

// sides is who takes part in each of Django's conversations.
const sides = `(
	SELECT p.conversation_id, count(DISTINCT p.user_id) AS people,
		coalesce(array_agg(DISTINCT u.id::bigint) FILTER (WHERE u.role = 'customer'), '{}') AS customers,
		coalesce(array_agg(DISTINCT u.id::bigint) FILTER (WHERE u.role = 'therapist'), '{}') AS therapists
	FROM {participants} p LEFT JOIN {users} u ON u.id = p.user_id
	GROUP BY p.conversation_id
)`

// rooms says to which room each of Django's messages belongs: that of its sender and its receiver,
// as customer and therapist. A message of an admin, and one without a receiver, belongs to the one
// room that its conversation has for them. Other messages fit no room, and room is NULL.
const rooms = `(
	SELECT d.number, d.sender_id, d.receiver_id, d.conversation_id, d.created_at, d.is_read,
		CASE
			WHEN s.role = 'customer' AND r.role = 'therapist' THEN ARRAY[s.id::bigint, r.id::bigint]
			WHEN s.role = 'therapist' AND r.role = 'customer' THEN ARRAY[r.id::bigint, s.id::bigint]
			WHEN s.role IN ('support', 'none') AND r.id = ANY(x.customers) AND cardinality(x.therapists) = 1 THEN ARRAY[r.id::bigint, x.therapists[1]]
			WHEN s.role IN ('support', 'none') AND r.id = ANY(x.therapists) AND cardinality(x.customers) = 1 THEN ARRAY[x.customers[1], r.id::bigint]
			WHEN d.receiver_id IS NULL AND cardinality(x.customers) = 1 AND cardinality(x.therapists) = 1
				AND (s.id = x.customers[1] OR s.id = x.therapists[1] OR s.role IN ('support', 'none')) THEN ARRAY[x.customers[1], x.therapists[1]]
		END AS room
	FROM {messages} d
	LEFT JOIN {users} s ON s.id = d.sender_id
	LEFT JOIN {users} r ON r.id = d.receiver_id
	LEFT JOIN {sides} x ON x.conversation_id = d.conversation_id
)`

// senderInDjango is the sender that a message m has in Django, or NULL. What nobody in Django's
// tables has sent, such as roomspa message send, comes from the first user who is support there.
const senderInDjango = `coalesce((SELECT u.id FROM {users} u WHERE u.id = m.sender_id),
	CASE WHEN m.sender_role = 'support' THEN (SELECT min(u.id) FROM {users} u WHERE u.role = 'support') END)`

// messageID is the id of an adopted message: a UUIDv7 (RFC 9562 §5.7) of Django's time and number.
// Replicas look for recent messages by ranges of ids, which must be ranges of time.
const messageID = `encode(substring(int8send(greatest(floor(extract(epoch FROM d.created_at) * 1000), 0)::bigint) FROM 3) ||
	'\x7000'::bytea || int8send(d.number::bigint | '-9223372036854775808'::bigint), 'hex')::uuid`

// ownMacros are about roomspa's tables: an adopted message m is one whose id Django's number gives.
var ownMacros = []string{
	"{id_of_d}", messageID,
	"{m_is_adopted}", `substring(uuid_send(m.id) FROM 7) = '\x7000'::bytea || int8send(m.number | '-9223372036854775808'::bigint)`,
}

// sql replaces the macros in a statement.
func (s *source) sql(statement string) string { return s.macros.Replace(statement) }

func (s *source) name(table string) string { return pgx.Identifier{s.schema, table}.Sanitize() }

func (s *source) subquery(table string, columns ...string) string {
	return "(SELECT " + strings.Join(columns, ", ") + " FROM " + s.name(table) + " x)"
}

func (s *source) hasBlacklist() bool {
	return s.tables[outstandingTable] != nil && s.tables[blacklistedTable] != nil
}

// of returns an expression over another alias than x.
func (s *source) of(alias, table, column string, expression func(table, column string) string) string {
	return strings.ReplaceAll(expression(table, column), "x.", alias+".")
}

// has reports whether the table has the column.
func (s *source) has(table, column string) bool {
	_, ok := s.tables[table].columns[column]
	return ok
}

func (s *source) key(table, column string) string {
	if !s.has(table, column) {
		return "NULL::bigint"
	}
	return "x." + column
}

func (s *source) text(table, column string) string {
	if !s.has(table, column) {
		return "NULL::text"
	}
	return "x." + column + "::text"
}

// flag returns a boolean, otherwise if the column is missing or NULL.
func (s *source) flag(table, column, otherwise string) string {
	switch c := s.tables[table].columns[column]; c.Type {
	case "":
		return otherwise
	case "boolean":
		return "coalesce(x." + column + ", " + otherwise + ")"
	default:
		return "lower(coalesce(x." + column + "::text, '')) IN ('t', 'true', '1', 'y', 'yes')"
	}
}

// moment returns a time with its zone.
func (s *source) moment(table, column string) string {
	switch c := s.tables[table].columns[column]; c.Type {
	case "":
		return "NULL::timestamptz"
	case "timestamp with time zone":
		return "x." + column
	default:
		return "(x." + column + "::timestamp AT TIME ZONE " + literal(s.zone) + ")"
	}
}

func (s *source) document() string {
	switch c := s.tables[messagesTable].columns["metadata"]; c.Type {
	case "":
		return "NULL::json"
	case "json", "jsonb":
		return "nullif(x.metadata::text, 'null')::json"
	default:
		return "roomspa.json_or_null(x.metadata::text)"
	}
}

// write returns the expression that stores a value in a column of this type.
func (s *source) write(table, column, value string) string {
	switch c := s.tables[table].columns[column]; {
	case c.Type == "timestamp without time zone":
		return "(" + value + ") AT TIME ZONE " + literal(s.zone)
	case c.Type == "date":
		return "((" + value + ") AT TIME ZONE " + literal(s.zone) + ")::date"
	case c.Type == "jsonb" || c.Type == "json":
		return "(" + strict(value) + ")::text::" + c.Type
	case column == "metadata":
		return "(" + value + ")::text"
	case c.Length > 0:
		return fmt.Sprintf("left(%s, %d)", value, c.Length)
	case slices.Contains([]string{"is_read", "is_active"}, column) && c.Type != "boolean":
		return "(" + value + ")::text::" + c.Type
	default:
		return value
	}
}

// strict returns JSON that jsonb can hold, or NULL. Only escapes can be what it refuses.
func strict(json string) string {
	return "CASE WHEN position('\\u' in (" + json + ")::text) > 0 THEN roomspa.json_or_null((" + json + ")::text) ELSE " + json + " END"
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
