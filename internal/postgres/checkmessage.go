package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// longestText is the size of the longest message that a check stores, in bytes: 4,000 code points
// of four bytes. It does not fit into a page, so the server must extend a file.
const longestText = 16_000

// CheckMessage stores messages in a conversation of its own with the statements of [DB.Append],
// and rolls back. What remains are gaps of one in the numbers of conversations and of four in
// those of messages, since sequences do not roll back, and 20 KB of free space in the tables.
func (db *DB) CheckMessage(ctx context.Context) (detail string, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // a connection that is not in order is closed
		return db.storeAndReadBack(ctx, tx)
	})
	if f, ok := errors.AsType[*failure](err); ok && f.cause == causeRejected { // it is not the value's fault
		err = newFailure(causeOther, f.detail)
	}
	if err != nil {
		return "", fmt.Errorf("store a message: %w", err)
	}
	return "a message was stored, read back and rolled back", nil
}

// errNotStored is the error of a server that takes a message and does not have it afterwards:
// a rule or a trigger keeps it away, or a policy hides it.
var errNotStored = errors.New("a message was inserted without an error, and is not there afterwards: look for rules, triggers and row-level security on roomspa.conversations and roomspa.messages")

func (db *DB) storeAndReadBack(ctx context.Context, tx pgx.Tx) error {
	if db.opts.PgBouncer {
		if _, err := tx.Exec(ctx, setTimeouts, db.opts.timeouts()...); err != nil {
			return err
		}
	}
	customer, therapist := checkIDs()
	v := []view{{room: room.Room{Customer: customer, Therapist: therapist}, user: customer}}
	var c room.ID
	var number int64
	if err := tx.QueryRow(ctx, createConversations, viewColumns(v)[:2]...).Scan(&customer, &therapist, &c, &number); err != nil {
		return notStored(err)
	}
	if _, err := tx.Exec(ctx, lockConversations, []room.ID{c}); err != nil {
		return err
	}
	d := room.Draft{Sender: customer, SenderRole: room.Customer, Text: "check", ClientMessageID: "check"}
	single := []any{c, uuid7Random(), int64(d.Sender), string(d.SenderRole), d.ClientMessageID, d.Text, "", ""}
	var seq int64
	if err := tx.QueryRow(ctx, insertMessage, single...).Scan(&seq, nil, nil, nil); err != nil {
		return notStored(err)
	}
	var ds []*draft
	for _, text := range []string{"Grüße, 你好, 😀", longText()} {
		d.Text, d.ClientMessageID = text, ""
		ds = append(ds, &draft{arg: appendArg{c, d}})
	}
	rows, err := tx.Query(ctx, insertMessages, columns([]room.ID{c, c}, ds)...)
	if err != nil {
		return err
	}
	if err := scanInserted(rows, ds); err != nil {
		return err
	}
	if ds[1].result.message.Seq != 3 {
		return newFailure(causeOther, errNotStored.Error())
	}
	if _, err := tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil { // triggers of the commit
		return err
	}
	if err := tx.QueryRow(ctx, countInConversation, c).Scan(&seq); err != nil {
		return err
	}
	if seq != 3 {
		return newFailure(causeRowSecurity, errNotStored.Error())
	}
	return nil
}

const countInConversation = `
SELECT count(*) FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id WHERE m.conversation_id = $1`

func notStored(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return newFailure(causeOther, errNotStored.Error())
	}
	return err
}

// checkIDs returns ids that no user has.
func checkIDs() (customer, therapist room.UserID) {
	n, _ := rand.Int(rand.Reader, big.NewInt(1<<40)) // never fails
	customer = room.MaxID - 2*room.UserID(n.Int64())
	return customer, customer - 1
}

// longText returns a text that cannot be compressed.
func longText() string {
	var b strings.Builder
	for b.Len() < longestText {
		b.WriteString(rand.Text())
	}
	return b.String()
}

// CheckUsers reads a user as a handshake does.
func (db *DB) CheckUsers(ctx context.Context) (detail string, err error) {
	var some bool
	var view bool
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, selectUsers, []int64{1})
		if _, err := collectUsers(rows); err != nil {
			return err
		}
		return conn.QueryRow(ctx, selectAnyUser).Scan(&some, &view)
	})
	if err != nil {
		return "", fmt.Errorf("read users: %w", err)
	}
	detail = "users can be read"
	if view {
		detail += "; they are a view on the table of another application"
	}
	if !some {
		detail += "; there is none yet, or row-level security hides them"
	}
	return detail, nil
}

const selectAnyUser = `SELECT EXISTS (SELECT FROM roomspa.users WHERE id > 0), ` + usersAreView
