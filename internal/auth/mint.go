package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// A TokenType is what a token is good for.
type TokenType string

// The types that SimpleJWT mints.
const (
	Access  TokenType = "access"
	Refresh TokenType = "refresh"
)

// Mint signs a token of SimpleJWT's shape with the first key, good from now for
// ttl, both in whole seconds. The claims it returns are those in the token.
func (k *Keys) Mint(t TokenType, user room.UserID, now time.Time, ttl time.Duration) (string, Claims, error) {
	c := Claims{UserID: user, IssuedAt: now.Truncate(time.Second).UTC(), ID: newTokenID()}
	c.ExpiresAt = c.IssuedAt.Add(ttl.Truncate(time.Second))
	payload, err := json.Marshal(struct {
		Type   TokenType   `json:"token_type"`
		Exp    int64       `json:"exp"`
		Iat    int64       `json:"iat"`
		ID     string      `json:"jti"`
		UserID room.UserID `json:"user_id"`
	}{t, c.ExpiresAt.Unix(), c.IssuedAt.Unix(), c.ID, user})
	if err != nil {
		return "", Claims{}, fmt.Errorf("encode a token: %w", err)
	}
	first := &k.all[0]
	signed := first.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	sig, err := first.method.Sign(signed, first.sign)
	if err != nil {
		return "", Claims{}, fmt.Errorf("sign a token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig), c, nil
}

// newTokenID returns 128 random bits as 32 hexadecimal digits, as SimpleJWT does.
func newTokenID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	return hex.EncodeToString(b[:])
}
