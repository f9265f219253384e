package room

import (
	"cmp"
	"fmt"
	"time"
)

// A Role decides which side of a room a user may enter. It comes from the store, never from a
// claim of the token.
type Role string

// The roles.
const (
	Customer  Role = "customer"
	Therapist Role = "therapist"
	Support   Role = "support" // may read every room and send in none
)

// A User is a user who can sign in.
type User struct {
	ID     UserID
	Email  string // empty if the user has none
	Phone  string // empty if the user has none
	Role   Role
	Active bool
	// TokensValidAfter is the time of the last sign-out everywhere. Tokens issued before it
	// are refused. It is zero if there was none.
	TokensValidAfter time.Time
}

// Contact returns what names the user in logs: the e-mail address, or else the phone number.
func (u *User) Contact() string { return cmp.Or(u.Email, u.Phone, "no e-mail") }

// A Denial is the reason why a user may not enter a room.
type Denial struct {
	Reason string // not_your_room, wrong_role, no_such_customer or no_such_therapist
	Side   Role   // the requested side, or the side whose user does not exist
	User   UserID // the id on that side
}

// Detail says in words why user may not enter.
func (d *Denial) Detail(user *User) string {
	switch d.Reason {
	case "no_such_customer", "no_such_therapist":
		return fmt.Sprintf("there is no %s %d", d.Side, d.User)
	default:
		return fmt.Sprintf("%s %d may not enter as %s %d", user.Role, user.ID, d.Side, d.User)
	}
}

// MayEnter returns nil if user may enter r, else the reason. find returns the user with an id,
// or nil.
//
// It checks the user's own side first, so that a refusal does not reveal which other users
// exist.
func MayEnter(user *User, r Room, find func(UserID) *User) *Denial {
	customer := func() *Denial { return mustBe(Customer, r.Customer, find, "no_such_customer") }
	therapist := func() *Denial { return mustBe(Therapist, r.Therapist, find, "no_such_therapist") }
	switch user.Role {
	case Customer:
		if d := ownSide(user, r.Customer, r.Therapist, Customer, Therapist); d != nil {
			return d
		}
		return therapist()
	case Therapist:
		if d := ownSide(user, r.Therapist, r.Customer, Therapist, Customer); d != nil {
			return d
		}
		return customer()
	case Support:
		if d := customer(); d != nil {
			return d
		}
		return therapist()
	default:
		return &Denial{Reason: "wrong_role", Side: user.Role, User: user.ID}
	}
}

func ownSide(user *User, own, other UserID, side, otherSide Role) *Denial {
	switch user.ID {
	case own:
		return nil
	case other:
		return &Denial{Reason: "wrong_role", Side: otherSide, User: other}
	default:
		return &Denial{Reason: "not_your_room", Side: side, User: own}
	}
}

func mustBe(role Role, id UserID, find func(UserID) *User, reason string) *Denial {
	if u := find(id); u == nil || u.Role != role {
		return &Denial{Reason: reason, Side: role, User: id}
	}
	return nil
}

// Refuses returns the reason why a token of this user is not valid: user_unknown, user_inactive
// or token_revoked, or "" if it is valid. u is nil if the user does not exist. A zero time of
// issue counts as earlier than any sign-out.
//
// The time of issue has whole seconds, so a token that was issued in the second of a sign-out
// is refused.
func (u *User) Refuses(issued time.Time) string {
	switch {
	case u == nil:
		return "user_unknown"
	case !u.Active:
		return "user_inactive"
	case !u.TokensValidAfter.IsZero() && issued.Before(u.TokensValidAfter):
		return "token_revoked"
	}
	return ""
}
