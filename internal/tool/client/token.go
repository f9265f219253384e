package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// A TokenSource gives the access token for a handshake. refused is the token
// that the server did not accept, or that is about to expire: the source must
// not return it again; empty where any will do. It may be called from several
// goroutines.
type TokenSource func(ctx context.Context, refused string) (string, error)

// ErrNoFreshToken is what a source answers that has no other token to give.
var ErrNoFreshToken = errors.New("there is no fresh token: none but the one that was given")

// StaticToken is the source of one token.
func StaticToken(token string) TokenSource {
	return func(_ context.Context, refused string) (string, error) {
		if refused != "" && refused == token {
			return "", ErrNoFreshToken
		}
		return token, nil
	}
}

// TokenFile is the source of a token in a file, which is read each time:
// something else may keep it fresh.
func TokenFile(path string) TokenSource {
	return func(_ context.Context, refused string) (string, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the token's file: %w", err)
		}
		token := strings.TrimSpace(string(text))
		switch token {
		case "":
			return "", fmt.Errorf("the token's file %s is empty", path)
		case refused:
			return "", ErrNoFreshToken
		}
		return token, nil
	}
}

// expiryMargin is how long before its end a token is not used any more: a
// handshake, and the clocks' difference, must fit. Short-lived tokens have a
// third of their life.
const expiryMargin = 30 * time.Second

// Source returns a source that signs in when it must: at first, when the token
// is about to expire and when the server refused it. Sessions may share it; they
// wait for one sign-in together, since each costs the server a password hash.
func (c Credentials) Source() TokenSource { return RenewingToken(c.Login) }

// RenewingToken returns a source that keeps what login gives as long as it is
// good.
func RenewingToken(login func(context.Context) (Tokens, error)) TokenSource {
	turn := make(chan struct{}, 1)
	var kept Tokens
	return func(ctx context.Context, refused string) (string, error) {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if kept.AccessToken != "" && kept.AccessToken != refused && kept.fresh(time.Now()) {
			return kept.AccessToken, nil
		}
		t, err := login(ctx)
		if err != nil {
			return "", err
		}
		kept = t
		return t.AccessToken, nil
	}
}

func (t Tokens) fresh(now time.Time) bool {
	life := time.Duration(t.ExpiresIn) * time.Second
	if life <= 0 {
		return true // the server did not say; it will refuse what is too old
	}
	return now.Before(t.Received.Add(life - min(expiryMargin, life/3)))
}

// A currentToken is the token that a session uses, and the one not to use again.
type currentToken struct {
	mu      sync.Mutex
	used    string
	refused string
}

func (t *currentToken) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = t.used
}

func (t *currentToken) get(ctx context.Context, source TokenSource) (string, error) {
	if source == nil {
		return "", nil
	}
	t.mu.Lock()
	refused := t.refused
	t.mu.Unlock()
	token, err := source(ctx, refused)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = token
	return token, nil
}

// UserOf reads the user's id out of a token without verifying it, 0 where there
// is none: enough to tell one's own messages from others'.
func UserOf(token string) int64 {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return 0
	}
	var claims struct {
		UserID json.RawMessage `json:"user_id"` // a number, or a string of one
	}
	if json.Unmarshal(payload, &claims) != nil {
		return 0
	}
	var id int64
	if json.Unmarshal([]byte(strings.Trim(string(claims.UserID), `"`)), &id) != nil {
		return 0
	}
	return id
}
