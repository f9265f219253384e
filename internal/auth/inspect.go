package auth

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// An Inspection is what a token says of itself, whether or not it is any good. It
// holds nothing of the signature.
type Inspection struct {
	Header json.RawMessage // nil where it cannot be read
	Claims json.RawMessage // nil where they cannot be read
	// Verified says that one of the keys has signed it; without keys it is false.
	Verified bool
	// Says is what it says of those claims that count, as far as they can be read,
	// whoever has written them.
	Says Claims
	// Refusal is why it is refused, nil if it is not.
	Refusal *Refusal
}

// Inspect takes a token apart for a person to read, and judges it: an access token
// as [Keys.Verify] does, a refresh token as [Keys.VerifyRefresh] does. Without keys,
// when k is nil, all is judged but the signature.
func (k *Keys) Inspect(token string, now time.Time) Inspection {
	var in Inspection
	head, payload, _, refusal := split(token)
	if refusal != nil {
		in.Refusal = refusal
		if token == "" {
			in.Refusal = missing()
		}
		return in
	}
	in.Header, in.Claims = readable(head), readable(payload)
	set, ok := decodeClaims(in.Claims)
	switch {
	case len(token) > MaxToken:
		in.Refusal = invalid("too_long", "The token has more than "+strconv.Itoa(MaxToken)+" bytes.")
	case in.Header == nil:
		in.Refusal = invalid("malformed", "The token's header is not a JSON object, encoded in base64url.")
	case !ok:
		in.Refusal = invalid("malformed", "The token's claims are not a JSON object, encoded in base64url.")
	default:
		in.Says, in.Refusal = k.judge(token, set, now)
		in.Verified = k != nil && signed(in.Refusal)
	}
	return in
}

// judge accepts access tokens and refresh tokens.
func (k *Keys) judge(token string, set claimSet, now time.Time) (Claims, *Refusal) {
	wanted := Access
	if t, _ := unquote(set["token_type"]); TokenType(t) == Refresh {
		wanted = Refresh
	}
	says, refusal := readClaims(set, wanted, now)
	if k == nil {
		return says, refusal
	}
	var err error
	if wanted == Refresh {
		_, err = k.VerifyRefresh(token, now)
	} else {
		_, err = k.Verify(token, now)
	}
	refusal, _ = errors.AsType[*Refusal](err)
	return says, refusal
}

// signed reports whether a refusal is about something else than the signature,
// which is looked at before all that a token claims.
func signed(r *Refusal) bool {
	if r == nil {
		return true
	}
	switch r.Word {
	case "bad_signature", "wrong_algorithm", "unknown_key", "malformed", "too_long", "missing":
		return false
	}
	return true
}

// readable decodes a part of a token, if it is a JSON object.
func readable(part string) json.RawMessage {
	text, err := strict.DecodeString(part)
	if err != nil {
		return nil
	}
	if _, ok := decodeClaims(text); !ok {
		return nil
	}
	return text
}
