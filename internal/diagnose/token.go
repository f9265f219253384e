package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/client"
	"github.com/roomspa/roomspa/internal/story"
)

// signIn gets a token, where somebody is named to sign in.
func (w *walk) signIn(ctx context.Context) (string, error) {
	if w.Identifier == "" || w.Token != "" {
		return "", errNotHere
	}
	got, err := client.Credentials{BaseURL: w.base, Identifier: w.Identifier, Password: w.Password, HTTP: w.http}.Login(ctx)
	if refused, ok := errors.AsType[*client.Refused](err); ok {
		t := w.refusal(refused)
		if _, known := story.Advise(refused.Problem.Code); known {
			t.cause = refused.Problem.Code
		}
		return "", t
	}
	if err != nil {
		return "", w.unanswered(ctx, err)
	}
	w.Token = got.AccessToken
	return fmt.Sprintf("signed in as user %d (%s), the token lives %s", got.User.ID, clip(got.User.Role), time.Duration(got.ExpiresIn)*time.Second), nil
}

// judgeToken reads the token as the server does, but for the signature: the secret
// is not here.
func (w *walk) judgeToken(context.Context) (string, error) {
	if w.Token == "" {
		return "", errNotHere // where a room is meant, the server says that it wants one
	}
	now := w.Now().Add(w.skew)
	var keys *auth.Keys
	in := keys.Inspect(w.Token, now)
	if r := in.Refusal; r != nil {
		return "", &trouble{cause: r.Reason, detail: r.Error()}
	}
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	if err := json.Unmarshal(in.Header, &header); err != nil || strings.EqualFold(header.Alg, "none") || header.Alg == "" {
		return "", &trouble{cause: auth.TokenInvalid, detail: "wrong_algorithm: the token is not signed (alg none)"}
	}
	detail := fmt.Sprintf("%s, access token of user %d, ends in %s", clip(header.Alg), in.Says.UserID, short(in.Says.ExpiresAt.Sub(now)))
	if header.Kid != "" {
		detail += ", kid " + clip(header.Kid)
	}
	return detail + "; whether the secret is the server's, the handshake shows", nil
}
