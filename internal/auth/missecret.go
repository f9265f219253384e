package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/unseen"
)

// hintRate is the number of refused tokens per second for which the secrets are compared with what
// they may have been meant to be. It costs some 20 HMACs for each secret.
const hintRate = 5

func newHintLimiter() *rate.Limiter { return rate.NewLimiter(hintRate, hintRate) }

// A variant is a secret as somebody may have meant it.
type variant struct {
	how  string // as in "the base64-decoded secret"
	why  string // what went wrong
	text []byte
}

const (
	encodedTwice  = "the secret was encoded once more (Kubernetes data: instead of stringData:?)"
	encodedThere  = "the issuer signs with the encoded form"
	notTheSecrets = "characters around the secret were taken as a part of it"
	issuersQuotes = "the issuer takes characters around the secret as a part of it"
)

// suspect returns why a token has a bad signature if one of the own secrets was set as it was not
// meant, else "". It contains nothing of a secret. It is for operators, and never for a client.
func (k *Keys) suspect(token string) string {
	head, payload, sig, refusal := splitToken(token)
	signature, err := strictBase64.DecodeString(sig)
	h, _, ok := decodeHeader(head)
	if refusal != nil || err != nil || !ok || h.alg != "HS256" {
		return ""
	}
	signed := []byte(token[:len(head)+1+len(payload)])
	for i, own := range k.own() {
		secret, _ := own.verify.([]byte)
		for _, v := range variants(secret) {
			mac := hmac.New(sha256.New, v.text)
			mac.Write(signed)
			if !hmac.Equal(mac.Sum(nil), signature) {
				continue
			}
			text := fmt.Sprintf("The signature fits %s (JWT secret %d): %s. ", v.how, i+1, v.why)
			if len(v.text) < MinSecret {
				return text + fmt.Sprintf("That one has %d bytes and roomspa takes no secret below %d: give a longer one to roomspa and to the issuer.", len(v.text), MinSecret)
			}
			return text + "Set that one first, and the present one second for tokens that were already issued."
		}
	}
	return ""
}

// hint adds what suspect says to the refusal of a bad signature, for a few tokens per second.
func (k *Keys) hint(r *Refusal, token string) {
	if r.Word == "bad_signature" && k.hints != nil && k.hints.Allow() {
		r.Hint = k.suspect(token)
	}
}

// variants returns what a secret may have been meant to be: with up to two encodings or characters
// around it undone, or with one added.
func variants(secret []byte) (all []variant) {
	add := func(v variant) {
		if len(v.text) > 0 && !bytes.Equal(v.text, secret) {
			all = append(all, v)
		}
	}
	for _, once := range undone(secret) {
		add(once)
		for _, twice := range undone(once.text) {
			add(variant{once.how + ", " + strings.TrimPrefix(twice.how, "the "), once.why, twice.text})
		}
	}
	s := string(secret)
	for _, e := range []struct{ how, text string }{
		{"the secret in base64", base64.StdEncoding.EncodeToString(secret)},
		{"the secret in base64 without padding", base64.RawStdEncoding.EncodeToString(secret)},
		{"the secret in base64url", base64.URLEncoding.EncodeToString(secret)},
		{"the secret in base64url without padding", base64.RawURLEncoding.EncodeToString(secret)},
		{"the secret and a line break in base64", base64.StdEncoding.EncodeToString([]byte(s + "\n"))},
		{"the secret in hexadecimal", hex.EncodeToString(secret)},
		{"the secret in capital hexadecimal", strings.ToUpper(hex.EncodeToString(secret))},
	} {
		add(variant{e.how, encodedThere, []byte(e.text)})
	}
	for _, e := range []struct{ how, text string }{
		{"the secret with a line break (U+000A) after its end", s + "\n"},
		{"the secret with a carriage return and a line break after its end", s + "\r\n"},
		{"the secret with a blank after its end", s + " "},
		{"the secret in double quotes", `"` + s + `"`},
		{"the secret in single quotes", "'" + s + "'"},
	} {
		add(variant{e.how, issuersQuotes, []byte(e.text)})
	}
	return all
}

// undone returns a secret without one of the usual mistakes.
func undone(secret []byte) (all []variant) {
	s := string(secret)
	core, found := unseen.Ends(s)
	if found != "" {
		all = append(all, variant{"the secret without " + found, notTheSecrets, []byte(core)})
	}
	if d, ok := decodeBase64(core); ok {
		all = append(all, variant{"the base64-decoded secret", encodedTwice, d})
	}
	if d, err := hex.DecodeString(core); err == nil && len(d) > 0 {
		all = append(all, variant{"the hexadecimal-decoded secret", encodedTwice, d})
	}
	return all
}

// decodeBase64 decodes base64 and base64url, with and without padding.
func decodeBase64(s string) ([]byte, bool) {
	bare := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	d, err := base64.RawStdEncoding.DecodeString(bare)
	return d, err == nil && len(d) > 0
}

// looksEncoded reports whether a secret is base64 of printable ASCII that is long enough for a
// secret itself. A random secret in base64 is not: its bytes are not all printable.
func looksEncoded(secret []byte) bool {
	d, ok := decodeBase64(string(secret))
	d = bytes.TrimRight(d, "\r\n")
	return ok && len(d) >= MinSecret && !bytes.ContainsFunc(d, func(r rune) bool { return r < ' ' || r > '~' })
}
