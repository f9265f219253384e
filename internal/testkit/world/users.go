package world

import (
	"context"
	"encoding/base64"
	"log/slog"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// The users of Populate.
const (
	Customer       room.UserID = 1
	Therapist      room.UserID = 2
	OtherCustomer  room.UserID = 3
	OtherTherapist room.UserID = 4
	Inactive       room.UserID = 5 // a customer
	Support        room.UserID = 6
	Revoked        room.UserID = 7 // a customer whose tokens are revoked until tomorrow
	Nobody         room.UserID = 99
)

// Password is the password of every user of Populate.
const Password = "correct horse battery staple"

// Migrate brings a database to the current schema.
func Migrate(ctx context.Context, databaseURL string) error {
	o := postgres.Options{URL: databaseURL, AcquireTimeout: Limit, StatementTimeout: Limit, LockTimeout: Limit}
	_, err := postgres.Migrate(ctx, o, slog.New(slog.DiscardHandler))
	return err
}

// Populate migrates a database and creates the users. Their hashes are cheap; a sign-in replaces them.
func Populate(ctx context.Context, databaseURL string) error {
	if err := Migrate(ctx, databaseURL); err != nil {
		return err
	}
	return execute(ctx, databaseURL, `
		INSERT INTO roomspa.users (id, email, password, role, is_active, tokens_valid_after)
		SELECT id, 'user' || id || '@example.com', $1, role, id <> $2, CASE id WHEN $3 THEN now() + interval '1 day' END
		FROM unnest($4::bigint[], $5::text[]) AS users (id, role)`, CheapHash(Password), Inactive, Revoked,
		[]room.UserID{Customer, Therapist, OtherCustomer, OtherTherapist, Inactive, Support, Revoked},
		[]string{"customer", "therapist", "customer", "therapist", "customer", "support", "customer"})
}

// SetPassword gives users another password.
func (w *World) SetPassword(t testing.TB, password string, users ...room.UserID) {
	t.Helper()
	hash := CheapHash(password)
	for _, u := range users {
		w.Exec(t, "UPDATE roomspa.users SET password = $2 WHERE id = $1", u, hash)
	}
}

// CheapHash returns an argon2id hash that costs next to nothing.
func CheapHash(password string) string {
	salt, enc := []byte("salt-of-16-bytes"), base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=64,t=1,p=1$" + enc(salt) + "$" + enc(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32))
}
