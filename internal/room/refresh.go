package room

import "time"

// A Refresh holds the claims of a refresh token. The refresh tokens of one sign-in are a family,
// whose name is the id of the first one.
type Refresh struct {
	Family    string
	ID        string // the jti
	User      UserID
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// A Rotation is the result of using a refresh token.
type Rotation struct {
	Refresh       // the successor
	Repeated bool // the token was used shortly before; the successor is the same as then
	Revoked  bool // the family is revoked, and with it all of its tokens
	Reused   bool // this use of an already used token has revoked the family
}
