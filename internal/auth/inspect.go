package auth

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// An Inspection describes a token, valid or not. It contains nothing of the signature.
type Inspection struct {
	Header json.RawMessage // nil if it cannot be decoded
	Claims json.RawMessage // nil if they cannot be decoded
	// Verified is true if one of the keys has signed the token.
	Verified bool
	// Parsed holds the claims as far as they can be read. They can be trusted only if
	// Verified is true.
	Parsed Claims
	// Refusal is the reason why the token is refused, or nil if it is valid.
	Refusal *Refusal
}

// Inspect decodes a token for a person to read and verifies it: an access token like
// [Keys.Verify], a refresh token like [Keys.VerifyRefresh]. If k is nil it does not verify the
// signature.
func (k *Keys) Inspect(token string, now time.Time) Inspection {
	var in Inspection
	head, payload, _, refusal := splitToken(token)
	switch {
	case token == "":
		in.Refusal = tokenMissing("")
		return in
	case refusal != nil && len(token) <= MaxToken:
		in.Refusal = k.explain(token, Access, now)
		return in
	}
	in.Header, in.Claims = decodePart(head), decodePart(payload)
	set, ok := decodeClaims(in.Claims)
	switch {
	case len(token) > MaxToken:
		in.Refusal = invalid("too_long", "The token has more than "+strconv.Itoa(MaxToken)+" bytes.")
	case refusal != nil:
		in.Refusal = refusal
	case in.Header == nil:
		in.Refusal = k.explain(token, Access, now)
	case !ok:
		in.Refusal = invalid("malformed", "The token's claims are not a JSON object, encoded in base64url.")
	default:
		in.Parsed, in.Refusal = k.inspectClaims(token, set, now)
		in.Verified = k != nil && signatureVerified(in.Refusal)
	}
	return in
}

// inspectClaims reads the claims and verifies the token as the type that they name.
func (k *Keys) inspectClaims(token string, set claimSet, now time.Time) (Claims, *Refusal) {
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
	if refusal != nil && refusal.Word == "bad_signature" {
		refusal.Hint = k.suspect(token)
	}
	return says, refusal
}

// signatureVerified reports whether the signature was valid. The signature is verified before
// the claims, so every refusal because of a claim implies a valid signature.
func signatureVerified(r *Refusal) bool {
	if r == nil {
		return true
	}
	switch r.Word {
	case "bad_signature", "wrong_algorithm", "unknown_key", "malformed", "too_long", "missing":
		return false
	}
	return true
}

// decodePart returns the JSON object that a part of a token encodes, or nil if it encodes
// something else.
func decodePart(part string) json.RawMessage {
	text, err := strictBase64.DecodeString(part)
	if err != nil {
		return nil
	}
	if _, ok := decodeClaims(text); !ok {
		return nil
	}
	return text
}
