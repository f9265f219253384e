package diagnose

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// signIn gets a token, where somebody is named to sign in.
func (w *walk) signIn(ctx context.Context) (string, error) {
	if w.Identifier == "" || w.Token != "" {
		return "", errNotHere
	}
	got, err := w.login(ctx, w.Identifier, w.Password)
	if err != nil {
		return "", err
	}
	w.Token = got.AccessToken
	detail := fmt.Sprintf("signed in as user %d (%s), the token lives %s", got.User.ID, clip(got.User.Role), time.Duration(got.ExpiresIn)*time.Second)
	if w.PeerIdentifier == "" || w.room != "" {
		return detail, nil
	}
	peer, err := w.login(ctx, w.PeerIdentifier, w.PeerPassword)
	if err != nil {
		return "", err
	}
	room, err := client.RoomOf(got.User, peer.User)
	if err != nil {
		return "", &trouble{cause: "wrong_role", detail: err.Error()}
	}
	w.room = room
	if w.target, err = url.Parse(w.socketURL("/ws/chat/" + room)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; the other side of the room is user %d (%s)", detail, peer.User.ID, clip(peer.User.Role)), nil
}

// login signs one side in; without tokens the error is a *trouble.
func (w *walk) login(ctx context.Context, identifier, password string) (client.Tokens, error) {
	got, err := client.Credentials{BaseURL: w.base, Identifier: identifier, Password: password, HTTP: w.http}.Login(ctx)
	if refused, ok := errors.AsType[*client.Refused](err); ok {
		t := w.refusal(refused)
		if _, known := cause.Find(refused.Problem.Code); known {
			t.cause = refused.Problem.Code
		}
		return got, t
	}
	if err != nil {
		return got, w.unanswered(ctx, err)
	}
	return got, nil
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
	detail := fmt.Sprintf("%s, access token of user %d, ends in %s", clip(header.Alg), in.Parsed.UserID, short(in.Parsed.ExpiresAt.Sub(now)))
	if header.Kid != "" {
		detail += ", kid " + clip(header.Kid)
	}
	return detail + "; whether the secret is the server's, the handshake shows", nil
}
