package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// signIn gets a token, if there are credentials instead of one.
func (d *diagnosis) signIn(ctx context.Context) (string, error) {
	if d.Identifier == "" || d.Token != "" {
		return "", errSkipped
	}
	own, err := d.login(ctx, d.Identifier, d.Password)
	if err != nil {
		return "", err
	}
	d.Token = own.AccessToken
	detail := fmt.Sprintf("signed in as user %d (%s), with a token for %s", own.User.ID, truncate(own.User.Role), time.Duration(own.ExpiresIn)*time.Second)
	if d.PeerIdentifier == "" || d.room != "" {
		return detail, nil
	}
	peer, err := d.login(ctx, d.PeerIdentifier, d.PeerPassword)
	if err != nil {
		return "", err
	}
	room, err := client.RoomOf(own.User, peer.User)
	if err != nil {
		return "", &problem{cause: "wrong_role", detail: err.Error()}
	}
	d.room = room
	if d.target, err = url.Parse(d.socketURL("/ws/chat/" + room)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; the other side of the room is user %d (%s)", detail, peer.User.ID, truncate(peer.User.Role)), nil
}

// login signs a user in. The error is a *problem.
func (d *diagnosis) login(ctx context.Context, identifier, password string) (client.Tokens, error) {
	tokens, err := client.Credentials{BaseURL: d.base, Identifier: identifier, Password: password, HTTP: d.http}.Login(ctx)
	if status, ok := errors.AsType[*client.StatusError](err); ok {
		p := d.statusProblem(status)
		if _, known := cause.Find(status.Problem.Code); known {
			p.cause = status.Problem.Code
		}
		return tokens, p
	}
	if err != nil {
		return tokens, d.responseProblem(ctx, err)
	}
	return tokens, nil
}

// inspectToken checks the token as the server does, except for the signature: the secret
// is not known here.
func (d *diagnosis) inspectToken(context.Context) (string, error) {
	if d.Token == "" {
		return "", errSkipped // in a room the server answers token_missing
	}
	now := d.Now().Add(d.skew)
	var keys *auth.Keys
	in := keys.Inspect(d.Token, now)
	if r := in.Refusal; r != nil {
		return "", &problem{cause: r.Reason, detail: r.Error()}
	}
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	if err := json.Unmarshal(in.Header, &header); err != nil || strings.EqualFold(header.Alg, "none") || header.Alg == "" {
		return "", &problem{cause: auth.TokenInvalid, detail: "wrong_algorithm: the token is not signed (alg none)"}
	}
	detail := fmt.Sprintf("%s, access token of user %d, expires in %s", truncate(header.Alg), in.Parsed.UserID, durationText(in.Parsed.ExpiresAt.Sub(now)))
	if header.Kid != "" {
		detail += ", kid " + truncate(header.Kid)
	}
	return detail + "; the handshake checks its signature", nil
}
