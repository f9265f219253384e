package story

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Failure is the summary of a failed connection of a user. It shows whether a failure is
// repeated.
type Failure struct {
	User int64     `json:"user"`
	Ref  string    `json:"ref"`
	At   time.Time `json:"at"`
	Code int       `json:"code"`
	Why  string    `json:"why"` // the result of [Story.Why]
}

// Failure returns the summary of a story. ok is false if the user is unknown or nothing failed.
func (s *Story) Failure() (f Failure, ok bool) {
	f = Failure{User: s.User, Ref: s.Ref, At: s.Began, Code: s.Code, Why: s.Why()}
	if s.Outcome == "" && s.End != nil {
		f.At, f.Code = s.End.At, s.End.Code
	}
	return f, s.User != 0 && f.Why != ""
}

// Encode encodes a failure for a store.
func (f Failure) Encode() []byte {
	b, err := json.Marshal(struct {
		Version int `json:"v"`
		Failure
	}{Version, f})
	if err != nil {
		panic(err) // every field can be encoded
	}
	return b
}

// DecodeFailure decodes a failure. ok is false if it is not valid or has another version.
func DecodeFailure(b []byte) (f Failure, ok bool) {
	in := struct {
		Version int `json:"v"`
		*Failure
	}{Failure: &f}
	err := json.Unmarshal(b, &in)
	return f, err == nil && in.Version == Version
}

// describePattern returns how often the failure with the reference ref was preceded by others
// with the same cause, and what that means. failures are those of one user, newest first. It
// returns "" if there were none before.
func describePattern(ref, why string, failures []Failure) string {
	var oldest time.Time
	n, listed := 0, false
	for _, f := range failures {
		if f.Ref == ref {
			listed = true
		}
		if f.Why == why && listed { // this failure or an earlier one
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

// habits explains what it means if one user meets a cause repeatedly.
var habits = map[string]string{
	"token_expired":     "the client does not refresh its token",
	"expired":           "the client does not refresh its token",
	"not_your_room":     "the app opens a room with a wrong id",
	"wrong_role":        "the app opens the other side of the room",
	"no_such_customer":  "the app opens a room with a wrong id",
	"no_such_therapist": "the app opens a room with a wrong id",
	"user_inactive":     "the app keeps using a deactivated user",
	"token_revoked":     "the app keeps using a token from before the sign-out",
	"not_yet_valid":     "the clock of the token issuer is ahead",
	"abnormal":          "the network or a proxy keeps closing the connection",
	"slow_consumer":     "the client's network is too slow, or its program does not read",
	"pong_timeout":      "the client keeps losing its network",
	"rate_limited":      "the client sends in a loop",
	"too_large":         "the client keeps sending the same message",
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
