package room

import "time"

// A Role says which side of a room a user may take. The store decides it, never
// a token's claim.
type Role string

// The roles there are.
const (
	Customer  Role = "customer"
	Therapist Role = "therapist"
	Support   Role = "support" // reads any room, sends in none
)

// A User is somebody who may sign in.
type User struct {
	ID     UserID
	Email  string
	Phone  string // empty if none is known
	Role   Role
	Active bool
	// TokensValidAfter refuses every token that was issued before it; zero if
	// none is refused.
	TokensValidAfter time.Time
}

// A Denial says why a user may not enter a room: one of the words that go on the
// wire, and which user is the reason where there is one.
type Denial struct {
	Reason string // not_your_room, wrong_role, no_such_customer or no_such_therapist
	Side   Role   // the side of the room that was asked for, or that does not exist
	User   UserID // the id on that side
}

// MayEnter decides whether user may enter r, and returns nil if so. find returns
// a user of the store by id, or nil.
//
// The own side is judged first, so that nobody learns from a refusal which other
// users exist.
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

// Refuses says why a token that was issued at a time does not speak for the user
// that the store has returned for it, nil if it knows none: user_unknown,
// user_inactive or token_revoked, or "" where it does. A token that does not say
// when it was issued counts as older than any sign-out.
//
// A token says the second alone, so one that was issued in the second of a
// sign-out is refused, whichever came first.
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
