package room

import "time"

// A Refresh is what a refresh token says: whose it is, and which one. The tokens
// that came out of one sign-in are a family, named after the first of them.
type Refresh struct {
	Family    string
	ID        string // the jti
	User      UserID
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// A Rotation is what the use of a refresh token has led to: its successor, or the
// end of the family.
type Rotation struct {
	Refresh       // the successor
	Repeated bool // it is the answer to an earlier use, once more
	Revoked  bool // the family has ended: nothing of it is good any more
	Reused   bool // it was ended by this use, of a token that was used before
}
