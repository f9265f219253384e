package diagnose_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// mint signs a token.
func mint(t testing.TB, secret string, kind auth.TokenType, user room.UserID, at time.Time, ttl time.Duration) string {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := keys.Mint(kind, user, at, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func token(t testing.TB, user room.UserID) string {
	t.Helper()
	return mint(t, world.Secret, auth.Access, user, time.Now(), time.Hour)
}

// chat is a diagnosis of a customer's room at an address.
func chat(t testing.TB, address string) diagnose.Options {
	t.Helper()
	return diagnose.Options{URL: "ws://" + address + "/ws/chat/1/2/", Token: token(t, world.Customer), Timeout: 10 * time.Second, Limit: world.Limit}
}
