package auth

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/room"
)

// A claimSet holds the claims of a token as they are written, by their exact names.
// It is a map because encoding/json would take "USER_ID" for a struct's "user_id".
// Of two claims with the same name the last one counts (RFC 7519 §4).
type claimSet map[string]json.RawMessage

func decodeClaims(payload []byte) (set claimSet, ok bool) {
	// encoding/json replaces invalid UTF-8 without an error, and takes null for a map.
	ok = utf8.Valid(payload) && json.Unmarshal(payload, &set) == nil && set != nil
	return set, ok
}

// unquote returns the string that a claim is. ok is false if the claim is absent or
// something else.
func unquote(claim json.RawMessage) (_ string, ok bool) {
	switch {
	case len(claim) == 0 || claim[0] != '"':
		return "", false
	case bytes.IndexByte(claim, '\\') < 0:
		return string(claim[1 : len(claim)-1]), true
	}
	var s string
	err := json.Unmarshal(claim, &s)
	return s, err == nil
}

// readClaims validates the claims of a token whose signature is valid. It reports permanent
// faults before expiry, so that a client does not renew a token that can never be accepted.
func readClaims(set claimSet, wanted TokenType, now time.Time) (Claims, *Refusal) {
	if refusal := checkType(set["token_type"], wanted); refusal != nil {
		return Claims{}, refusal
	}
	if set["exp"] == nil {
		return Claims{}, invalid("missing_exp", "The token has no exp: it would never expire.")
	}
	var c Claims
	var notBefore time.Time
	for _, d := range [...]struct {
		to   *time.Time
		name string
	}{{&c.ExpiresAt, "exp"}, {&c.IssuedAt, "iat"}, {&notBefore, "nbf"}} {
		if refusal := readDate(d.to, set[d.name], d.name); refusal != nil {
			return Claims{}, refusal
		}
	}
	var refusal *Refusal
	if c.UserID, refusal = userID(set["user_id"]); refusal != nil {
		return Claims{}, refusal
	}
	if set["jti"] != nil {
		var ok bool
		if c.ID, ok = unquote(set["jti"]); !ok {
			return Claims{}, invalid("bad_jti", "The token's jti is not a string.")
		}
	}
	if refusal = checkTimes(c, notBefore, now); refusal != nil {
		refusal.User = c.UserID
	}
	return c, refusal
}

func checkType(raw []byte, wanted TokenType) *Refusal {
	if raw == nil {
		return invalid("wrong_type", "The token has no token_type; this one should be "+string(wanted)+".")
	}
	t, _ := unquote(raw)
	switch {
	case TokenType(t) == wanted:
		return nil
	case wanted == Access && TokenType(t) == Refresh:
		refusal := invalid("wrong_type", "This is a refresh token; send the access token.")
		refusal.Refresh = true
		return refusal
	case wanted == Refresh && TokenType(t) == Access:
		return invalid("wrong_type", "This is an access token; send the refresh token.")
	default:
		return invalid("wrong_type", "The token's token_type is not "+string(wanted)+".")
	}
}

func checkTimes(c Claims, notBefore, now time.Time) *Refusal {
	// RFC 7519 §4.1.4: not on or after exp.
	if !now.Before(c.ExpiresAt.Add(Leeway)) {
		return &Refusal{Reason: TokenExpired, Word: "expired", Detail: "The token expired " + formatSeconds(now.Sub(c.ExpiresAt)) + " ago."}
	}
	if ahead := notBefore.Sub(now); ahead > Leeway {
		return invalid("not_yet_valid", "The token is not valid before its nbf, "+formatSeconds(ahead)+" ahead of this server's clock.")
	}
	if ahead := c.IssuedAt.Sub(now); ahead > Leeway {
		return invalid("not_yet_valid", "The token's iat is "+formatSeconds(ahead)+" ahead of this server's clock.")
	}
	return nil
}

func formatSeconds(d time.Duration) string { return d.Round(time.Second).String() }

// userID reads a user_id, which is a number or, in newer versions of SimpleJWT, a string.
func userID(raw []byte) (room.UserID, *Refusal) {
	if raw == nil {
		return 0, invalid("missing_user_id", "The token has no user_id.")
	}
	text, ok := unquote(raw)
	if !ok {
		text = string(raw)
	}
	id, ok := room.ParseUserID(text)
	if !ok {
		return 0, invalid("bad_user_id", "The token's user_id is not an integer between 1 and 2^53-1.")
	}
	return id, nil
}

// lastDate is the last second of the year 9999, in seconds since 1970. A larger value is most
// likely in milliseconds.
const lastDate = 253402300799

// readDate reads a NumericDate (RFC 7519 §2), which may have a fraction, into to. It leaves to
// unchanged if the claim is absent.
func readDate(to *time.Time, raw []byte, name string) *Refusal {
	if raw == nil {
		return nil
	}
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return invalid("bad_"+name, "The token's "+name+" is not a number.")
	}
	seconds, err := strconv.ParseInt(string(raw), 10, 64) // succeeds for nearly all tokens
	fraction := 0.0
	if err != nil {
		f, _ := strconv.ParseFloat(string(raw), 64) // returns an infinity if out of range
		whole, part := math.Modf(min(max(f, -1), lastDate+1))
		seconds, fraction = int64(whole), part
	}
	if seconds < 0 || seconds > lastDate || fraction < 0 {
		return invalid("bad_"+name, "The token's "+name+" is not a time in seconds since 1970 (are these milliseconds?).")
	}
	*to = time.Unix(seconds, int64(fraction*1e9)).UTC()
	return nil
}
