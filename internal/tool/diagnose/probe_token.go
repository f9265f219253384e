package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
)

// inspectToken checks the token as the server does, except for the signature: the secret
// is not known here.
func (w *walk) inspectToken(context.Context) result {
	if w.Token == "" {
		return result{} // in a room the server answers token_missing
	}
	now := w.Now()
	if w.facts.SkewMS != nil {
		now = now.Add(time.Duration(*w.facts.SkewMS) * time.Millisecond)
	}
	var keys *auth.Keys
	in := keys.Inspect(w.Token, now)
	t := &Token{Minted: w.facts.given("identifier")}
	w.facts.Token = t
	if r := in.Refusal; r != nil {
		t.Refusal, t.Detail = r.Reason, r.Error()
		return failed("%s", t.Detail)
	}
	t.AgeS = w.Now().Sub(in.Parsed.IssuedAt).Seconds()
	var header struct{ Alg, Kid string }
	if err := json.Unmarshal(in.Header, &header); err != nil || strings.EqualFold(header.Alg, "none") || header.Alg == "" {
		t.Refusal, t.Detail = auth.TokenInvalid, "wrong_algorithm: the token is not signed (alg none)"
		return failed("%s", t.Detail)
	}
	detail := fmt.Sprintf("%s, access token of user %d, expires in %s", truncate(header.Alg), in.Parsed.UserID, durationText(in.Parsed.ExpiresAt.Sub(now)))
	if header.Kid != "" {
		detail += ", kid " + truncate(header.Kid)
	}
	return passed("%s; the handshake checks its signature", detail)
}
