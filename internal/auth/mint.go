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

// A TokenType is the value of the claim token_type.
type TokenType string

// The token types of SimpleJWT.
const (
	Access  TokenType = "access"
	Refresh TokenType = "refresh"
)

// Mint returns a token in the form of SimpleJWT, signed with the first key, that is valid from
// now for ttl. Both are truncated to seconds. It also returns the token's claims.
func (k *Keys) Mint(t TokenType, user room.UserID, now time.Time, ttl time.Duration) (string, Claims, error) {
	c := Claims{UserID: user, IssuedAt: now.Truncate(time.Second).UTC(), ID: newTokenID()}
	c.ExpiresAt = c.IssuedAt.Add(ttl.Truncate(time.Second))
	token, err := k.sign(t, c, "")
	if err != nil {
		return "", Claims{}, err
	}
	return token, c, nil
}

// FirstRefresh returns the claims of the first refresh token of a sign-in.
func FirstRefresh(user room.UserID, now time.Time, ttl time.Duration) room.Refresh {
	r := NextRefresh(room.Refresh{User: user}, now, ttl)
	r.Family = r.ID
	return r
}

// NextRefresh returns the claims of the successor of the refresh token used.
func NextRefresh(used room.Refresh, now time.Time, ttl time.Duration) room.Refresh {
	at := now.Truncate(time.Second).UTC()
	return room.Refresh{Family: used.Family, ID: newTokenID(), User: used.User, IssuedAt: at, ExpiresAt: at.Add(ttl.Truncate(time.Second))}
}

// MintRefresh returns a refresh token with the claims r, signed with the first key.
func (k *Keys) MintRefresh(r room.Refresh) (string, error) {
	family := r.Family
	if family == r.ID {
		family = ""
	}
	return k.sign(Refresh, Claims{UserID: r.User, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt, ID: r.ID}, family)
}

func (k *Keys) sign(t TokenType, c Claims, family string) (string, error) {
	payload, err := json.Marshal(struct {
		Type   TokenType   `json:"token_type"`
		Exp    int64       `json:"exp"`
		Iat    int64       `json:"iat"`
		ID     string      `json:"jti"`
		Family string      `json:"family,omitempty"`
		UserID room.UserID `json:"user_id"`
	}{t, c.ExpiresAt.Unix(), c.IssuedAt.Unix(), c.ID, family, c.UserID})
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	first := &k.own()[0]
	signed := first.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	sig, err := first.method.Sign(signed, first.sign)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

// newTokenID returns 128 random bits as 32 hexadecimal digits, as SimpleJWT does.
func newTokenID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	return hex.EncodeToString(b[:])
}
