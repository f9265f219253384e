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

	"github.com/roomspa/roomspa/internal/unseen"
)

// A TokenSource returns the access token for a handshake. refused is a token that the
// server did not accept or that is about to expire, empty if there is none: the source
// must not return it again. A source must be safe for concurrent use.
type TokenSource func(ctx context.Context, refused string) (string, error)

// ErrNoFreshToken is returned by a source that has only the refused token.
var ErrNoFreshToken = errors.New("there is no other token than the refused one")

// StaticToken returns a source of one token.
func StaticToken(token string) TokenSource {
	return func(_ context.Context, refused string) (string, error) {
		if refused != "" && refused == token {
			return "", ErrNoFreshToken
		}
		return token, nil
	}
}

// TokenFile returns a source that reads the token from a file. It reads the file each
// time, since another program may renew the token.
func TokenFile(path string) TokenSource {
	return func(_ context.Context, refused string) (string, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the token file: %w", err)
		}
		clean, err := unseen.File(text)
		if err != nil {
			return "", fmt.Errorf("read the token file %s: %w", path, err)
		}
		token := strings.TrimSpace(clean)
		switch token {
		case "":
			return "", fmt.Errorf("the token file %s is empty", path)
		case refused:
			return "", ErrNoFreshToken
		}
		return token, nil
	}
}

// expiryMargin is how long before its expiry a token is no longer used: it leaves time for
// a handshake and for clock skew. For short-lived tokens it is a third of their lifetime.
const expiryMargin = 30 * time.Second

// Source returns a source that signs in at its first use, when the token is about to
// expire and when the server refused it. Sessions that share a source wait for the same
// sign-in, since each costs the server a password hash.
func (c Credentials) Source() TokenSource { return renewingToken(c.Login) }

// renewingToken returns a source that keeps the token that login returned until it expires
// or is refused.
func renewingToken(login func(context.Context) (Tokens, error)) TokenSource {
	lock := make(chan struct{}, 1)
	var current Tokens
	return func(ctx context.Context, refused string) (string, error) {
		select {
		case lock <- struct{}{}:
			defer func() { <-lock }()
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if current.AccessToken != "" && current.AccessToken != refused && current.usable(time.Now()) {
			return current.AccessToken, nil
		}
		t, err := login(ctx)
		if err != nil {
			return "", err
		}
		current = t
		return t.AccessToken, nil
	}
}

func (t Tokens) usable(now time.Time) bool {
	lifetime := time.Duration(t.ExpiresIn) * time.Second
	if lifetime <= 0 {
		return true // the lifetime is unknown; the server refuses an expired token
	}
	return now.Before(t.Received.Add(lifetime - min(expiryMargin, lifetime/3)))
}

// A currentToken is the token that a session uses, with the one that it must not use
// again.
type currentToken struct {
	mu      sync.Mutex
	current string
	refused string
}

// markRefused makes the next get return another token.
func (t *currentToken) markRefused() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = t.current
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
	t.current = token
	return token, nil
}

// UserOf returns the user id in a token, which it does not verify. It returns 0 if there is
// none.
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
