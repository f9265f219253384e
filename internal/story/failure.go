package story

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Failure is one line about a connection of a user's that failed: enough to see
// that it is not the first one.
type Failure struct {
	User int64     `json:"user"`
	Ref  string    `json:"ref"`
	At   time.Time `json:"at"`
	Code int       `json:"code"`
	Why  string    `json:"why"` // as [Story.Why]
}

// Failure returns the line about a story. ok is false where nobody knows whose it is.
func (s *Story) Failure() (f Failure, ok bool) {
	f = Failure{User: s.User, Ref: s.Ref, At: s.Began, Code: s.Code, Why: s.Why()}
	if s.Outcome == "" && s.End != nil {
		f.At, f.Code = s.End.At, s.End.Code
	}
	return f, s.User != 0 && f.Why != ""
}

// Encode returns a failure as it is kept.
func (f Failure) Encode() []byte {
	b, err := json.Marshal(struct {
		Version int `json:"v"`
		Failure
	}{Version, f})
	if err != nil {
		panic(err) // it has no field that JSON does not know
	}
	return b
}

// DecodeFailure reads a failure that was kept. ok is false for another version's.
func DecodeFailure(b []byte) (f Failure, ok bool) {
	in := struct {
		Version int `json:"v"`
		*Failure
	}{Failure: &f}
	err := json.Unmarshal(b, &in)
	return f, err == nil && in.Version == Version
}

// pattern says in words what a user's failures, newest first, have to do with the one
// of ref; "" where it stands alone.
func pattern(ref, why string, failures []Failure) string {
	var oldest time.Time
	n, listed := 0, false
	for _, f := range failures {
		if f.Ref == ref {
			listed = true
		}
		if f.Why == why && (listed || f.Ref == ref) { // that one and those before it
			n++
			oldest = f.At
		}
	}
	if n < 2 {
		return ""
	}
	text := fmt.Sprintf("the %s %s since %s", ordinal(n), why, oldest.UTC().Format("15:04"))
	if habit := habits[why]; habit != "" {
		text += ": " + habit
	}
	return text
}

// habits is what it means when one user meets a cause again and again.
var habits = map[string]string{
	"token_expired":     "the client does not refresh its token",
	"expired":           "the client does not refresh its token",
	"not_your_room":     "the app opens a room with a wrong id",
	"wrong_role":        "the app opens the other side of the room",
	"no_such_customer":  "the app opens a room with a wrong id",
	"no_such_therapist": "the app opens a room with a wrong id",
	"user_inactive":     "the app goes on with a user who was deactivated",
	"token_revoked":     "the app goes on with a token from before the sign-out",
	"not_yet_valid":     "the clock of the tokens' issuer is ahead",
	"abnormal":          "the connection is cut again and again, by the network or by a proxy",
	"slow_consumer":     "the client's network is too slow, or its program does not read",
	"pong_timeout":      "the client's network goes away again and again",
	"rate_limited":      "the client sends in a loop",
	"too_large":         "the client sends the same message again and again",
}

func ordinal(n int) string {
	suffix := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return fmt.Sprint(n, suffix)
}
