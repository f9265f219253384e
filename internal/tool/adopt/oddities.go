package adopt

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Finding is what is odd about some rows, and what becomes of them.
type Finding struct {
	What     string   `json:"what"`
	Count    int64    `json:"count"`
	Examples []string `json:"examples"` // the first few: ids, unless What says something else
}

// An oddity is a query for the examples of a finding, one a row, in a column named x.
type oddity struct {
	what  string
	query string
}

// oddities lists what is worth to be known before an adoption.
var oddities = []oddity{
	{
		"phone numbers that several users have (roomspa signs in the first it finds)",
		`SELECT phone AS x FROM {users} u WHERE phone <> '' GROUP BY phone HAVING count(*) > 1`,
	},
	{
		"e-mail addresses that several users have (roomspa signs in the first it finds)",
		`SELECT email AS x FROM {users} u WHERE email <> '' GROUP BY email HAVING count(*) > 1`,
	},
	{
		"e-mail addresses that differ only in case (they stay different users, as in Django)",
		`SELECT lower(email) AS x FROM {users} u GROUP BY lower(email) HAVING count(DISTINCT email) > 1`,
	},
	{"users without an e-mail address (they sign in with their phone number)", `SELECT id AS x FROM {users} u WHERE coalesce(email, '') = '' AND coalesce(phone, '') <> ''`},
	{
		"users with neither an e-mail address nor a phone number (they cannot sign in)",
		`SELECT id AS x FROM {users} u WHERE coalesce(email, '') = '' AND coalesce(phone, '') = ''`,
	},
	{"users whose id is not between 1 and 2^53-1 (roomspa refuses their tokens)", `SELECT id AS x FROM {users} u WHERE id NOT BETWEEN 1 AND 9007199254740991`},
	{
		"admins by their role only, without is_staff and is_superuser: the predecessor stored whatever role a registrant sent (they may enter no room; set is_staff for real ones)",
		`SELECT id AS x FROM {users} u WHERE role = 'none' AND lower(their_role) IN ('admin', 'support', 'staff')`,
	},
	{
		"users with another unknown role (they may enter no room)",
		`SELECT id AS x FROM {users} u WHERE role = 'none' AND coalesce(lower(their_role), '') NOT IN ('admin', 'support', 'staff')`,
	},
	{
		"customers and therapists with is_staff or is_superuser (they become support, and have no room of their own)",
		`SELECT id AS x FROM {users} u WHERE role = 'support' AND their_role IN ('customer', 'therapist')`,
	},
	{"users who are not active (roomspa refuses them; the predecessor's sockets did not)", `SELECT id AS x FROM {users} u WHERE NOT is_active`},
	{"unusable passwords", `SELECT id AS x FROM {users} u WHERE coalesce(password, '') = '' OR password LIKE '!%'`},
	{
		"kinds of password hashes other than PBKDF2-SHA256 with 870000 iterations, each with its users (Django's sign-in replaces them; see docs/migration.md before you use roomspa's own)",
		`SELECT kind || ': ' || count(*) || ' users' AS x FROM (
			SELECT CASE WHEN password LIKE 'pbkdf2%' THEN split_part(password, '$', 1) || '$' || split_part(password, '$', 2) ELSE split_part(password, '$', 1) END AS kind
			FROM {users} u WHERE password <> '' AND password NOT LIKE '!%'
		) k WHERE kind <> 'pbkdf2_sha256$870000' GROUP BY kind`,
	},
	{"conversations of three or more people", `SELECT conversation_id AS x FROM {sides} s WHERE people > 2`},
	{
		"conversations of customers without a therapist (they and their messages fit no room)",
		`SELECT conversation_id AS x FROM {sides} s WHERE people >= 2 AND cardinality(customers) >= 2 AND cardinality(therapists) = 0`,
	},
	{
		"conversations of therapists without a customer (they fit no room)",
		`SELECT conversation_id AS x FROM {sides} s WHERE people >= 2 AND cardinality(therapists) >= 2 AND cardinality(customers) = 0`,
	},
	{"conversations with one participant (as after a user was deleted)", `SELECT conversation_id AS x FROM {sides} s WHERE people = 1`},
	{"conversations without a participant", `SELECT c.id AS x FROM {conversations} c WHERE NOT EXISTS (SELECT FROM {participants} p WHERE p.conversation_id = c.id)`},
	{
		"pairs of users with several conversations, as customer/therapist (they become one, under the number of the one that was used last)",
		`SELECT customers[1] || '/' || therapists[1] AS x FROM {sides} s WHERE cardinality(customers) = 1 AND cardinality(therapists) = 1
		 GROUP BY customers[1], therapists[1] HAVING count(*) > 1`,
	},
	{"messages without a receiver (their conversation says who it is, if it has one customer and one therapist)", `SELECT number AS x FROM {bare_messages} d WHERE receiver_id IS NULL`},
	{
		"messages that fit no room: sender and receiver are not one customer and one therapist, nor an admin and one side of a room (they stay in Django)",
		`SELECT number AS x FROM {rooms} d WHERE room IS NULL`,
	},
	{"messages of users who do not exist (they stay in Django)", `SELECT number AS x FROM {bare_messages} d WHERE NOT EXISTS (SELECT FROM {users} u WHERE u.id = d.sender_id)`},
	{"messages without text", `SELECT id AS x FROM {chat_message} d WHERE coalesce(content::text, '') = ''`},
	{"messages without a time (they become the first of their rooms)", `SELECT id AS x FROM {chat_message} d WHERE created_at IS NULL`},
	{
		"messages of a room that are not in the order of their ids (they are ordered by time)",
		`SELECT number AS x FROM (SELECT number, created_at, max(created_at) OVER (PARTITION BY room ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last
		 FROM {rooms} d WHERE room IS NOT NULL) o WHERE created_at < last`,
	},
	{
		"messages that were read although an earlier one of the same sender and room was not (roomspa's own clients see them as unread)",
		`SELECT number AS x FROM (SELECT number, is_read, bool_or(NOT is_read) OVER (PARTITION BY room, sender_id ORDER BY created_at, number) AS unread
		 FROM {rooms} d WHERE room IS NOT NULL) o WHERE is_read AND unread`,
	},
	{"messages that more than one message shares an id with (ids must be unique)", `SELECT number AS x FROM {bare_messages} d GROUP BY number HAVING count(*) > 1`},
}

// metadataOddities need the column.
var metadataOddities = []oddity{
	{"metadata that is not JSON (it is left out)", `SELECT id AS x FROM {chat_message} d WHERE metadata::text NOT IN ('', 'null') AND roomspa.json_or_null(metadata::text) IS NULL`},
}

// examples is how many rows of a finding are named.
const examples = 5

// find runs the queries, and returns the findings with rows.
func (a *Adoption) find(ctx context.Context, queries []oddity, args ...any) (found []Finding, err error) {
	a.began = time.Now()
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		found = nil
		for i, q := range queries {
			f := Finding{What: q.what}
			sql := `WITH o AS MATERIALIZED (` + a.src.sql(q.query) + `)
				SELECT (SELECT count(*) FROM o), coalesce(array(SELECT x::text FROM o ORDER BY o.x LIMIT ` + number(examples) + `), '{}')`
			if err := tx.QueryRow(ctx, sql, args...).Scan(&f.Count, &f.Examples); err != nil {
				return err
			}
			if f.Count > 0 {
				found = append(found, f)
			}
			a.progress("questions", int64(i+1), int64(len(queries)))
		}
		return nil
	})
	return found, err
}
