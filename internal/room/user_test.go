package room_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

func TestRefuses(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		user   *room.User
		issued time.Time
		want   string
	}{
		"nobody":                         {nil, noon, "user_unknown"},
		"an active user":                 {&room.User{Active: true}, noon, ""},
		"a user without a sign-out":      {&room.User{Active: true}, time.Time{}, ""},
		"a deactivated user":             {&room.User{TokensValidAfter: noon}, noon.Add(-time.Hour), "user_inactive"},
		"before the sign-out":            {&room.User{Active: true, TokensValidAfter: noon}, noon.Add(-time.Second), "token_revoked"},
		"in the second of the sign-out":  {&room.User{Active: true, TokensValidAfter: noon.Add(time.Millisecond)}, noon, "token_revoked"},
		"at the sign-out":                {&room.User{Active: true, TokensValidAfter: noon}, noon, ""},
		"a token that does not say when": {&room.User{Active: true, TokensValidAfter: noon}, time.Time{}, "token_revoked"},
		"a token of after the sign-out":  {&room.User{Active: true, TokensValidAfter: noon}, noon.Add(time.Second), ""},
	} {
		if got := tt.user.Refuses(tt.issued); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
