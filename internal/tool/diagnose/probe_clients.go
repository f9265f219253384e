package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

const signInFailed = "the sign-in failed"

const needsToken = "give a token, or --identifier to sign in"

// signIn gets a token, if there are credentials instead of one.
func (w *walk) signIn(ctx context.Context) result {
	if w.Identifier == "" {
		return result{}
	}
	if !w.reached() {
		return skipped("nothing reaches roomspa")
	}
	w.signInFailed = true
	own, r := w.login(ctx, w.Identifier, w.Password)
	if !r.ok {
		return r
	}
	w.signInFailed = false
	w.Token, w.refresh = own.AccessToken, own.RefreshToken
	detail := fmt.Sprintf("signed in as user %d (%s), with a token for %s", own.User.ID, truncate(own.User.Role), time.Duration(own.ExpiresIn)*time.Second)
	if w.PeerIdentifier == "" || w.room != "" {
		r.detail = detail
		return r
	}
	peer, r := w.login(ctx, w.PeerIdentifier, w.PeerPassword)
	if !r.ok {
		return r
	}
	room, err := client.RoomOf(own.User, peer.User)
	if err != nil {
		a := Attempt{Probe: "sign-in", Path: "/login/", Status: http.StatusOK, Ours: true, Code: "wrong_role", Detail: err.Error()}
		w.record(ctx, a)
		return failed("%s", err.Error())
	}
	w.room = room
	r.detail = fmt.Sprintf("%s; the other side of the room is user %d (%s)", detail, peer.User.ID, truncate(peer.User.Role))
	return r
}

// login signs a user in.
func (w *walk) login(ctx context.Context, identifier, password string) (t client.Tokens, r result) {
	body, _ := json.Marshal(map[string]string{"identifier": identifier, "password": password}) // strings cannot fail
	a, raw := w.request(ctx, Attempt{Probe: "sign-in", Path: "/login/"}, http.MethodPost, nil, string(body))
	a.OK = a.Status == http.StatusOK && json.Unmarshal(raw, &t) == nil && t.AccessToken != ""
	a = w.record(ctx, a)
	return t, summary([]Attempt{a}, "sign-in", 2*time.Second)
}

// canAuthenticate returns why no request with the token is sent, or "".
func (w *walk) canAuthenticate() string {
	switch {
	case w.signInFailed:
		return signInFailed
	case w.Token == "":
		return needsToken
	case w.facts.Token != nil && w.facts.Token.Refusal != "":
		return "the token is not good"
	case !w.reached():
		return "nothing reaches roomspa"
	}
	return ""
}

func (w *walk) bearer() http.Header { return http.Header{"Authorization": {"Bearer " + w.Token}} }

const restLimit = 500 * time.Millisecond

// connectAsApp does what apps do: REST and a socket with the header Authorization, a socket with
// the token in the query, and the renewal of the token.
func (w *walk) connectAsApp(ctx context.Context) result {
	if why := w.canAuthenticate(); why != "" {
		return skipped(why)
	}
	all := repeat(ctx, times, w.width, func(i int) (Attempt, bool) {
		a, _ := w.request(ctx, Attempt{Probe: "app", Path: "/api/conversations/", Sent: "Authorization", Address: w.address(i)}, http.MethodGet, w.bearer(), "")
		a.OK = a.Status == http.StatusOK && a.Ours
		return w.record(ctx, a), a.OK || i < 2
	})
	r := summary(all, "answers of GET /api/conversations/", restLimit)
	// What a cache has kept of these answers, it gives to everybody.
	stranger, _ := w.request(ctx, Attempt{Probe: "app", Path: "/api/conversations/", Sent: noToken}, http.MethodGet, nil, "")
	stranger.OK = stranger.Status == http.StatusUnauthorized && stranger.Ours
	if stranger = w.record(ctx, stranger); !stranger.OK && r.ok {
		r = summary([]Attempt{stranger}, "", 0)
	}
	if kept := (&Facts{Attempts: append(all, stranger)}).cachedAnswers(); len(kept) > 0 {
		r = failed("%s", strings.Join(kept, "; "))
	}
	for _, way := range []struct {
		sent, secret string
		header       http.Header
	}{{"Authorization", "", w.bearer()}, {"the token in the query", "token=" + url.QueryEscape(w.Token), nil}} {
		path := "/ws/inbox/"
		if w.room != "" {
			path = "/ws/chat/" + w.room
		}
		conn, _, a := w.enter(ctx, Attempt{Probe: "app", Path: path, Sent: way.sent}, client.Options{Header: way.header}, way.secret)
		if conn != nil {
			closeSocket(conn)
		}
		if a = w.record(ctx, a); !a.OK && r.ok {
			r = summary([]Attempt{a}, "", 0)
		}
	}
	if w.refresh == "" || !r.ok {
		return r
	}
	return w.renew(ctx, r)
}

// renew renews the token and ends its sign-in.
func (w *walk) renew(ctx context.Context, r result) result {
	post := func(path, token string) (Attempt, []byte) {
		body, _ := json.Marshal(map[string]string{"refresh_token": token}) // strings cannot fail
		return w.request(ctx, Attempt{Probe: "refresh", Path: path}, http.MethodPost, nil, string(body))
	}
	a, raw := post("/token/refresh/", w.refresh)
	var t client.Tokens
	a.OK = a.Status == http.StatusOK && json.Unmarshal(raw, &t) == nil && t.AccessToken != ""
	if a = w.record(ctx, a); !a.OK {
		return summary([]Attempt{a}, "", 0)
	}
	_, _ = post("/logout/", t.RefreshToken) // leaves nothing behind; a failure harms nobody
	r.detail += ", the token can be renewed"
	return r
}

// connectByTicket gets ten tickets and connects with each.
func (w *walk) connectByTicket(ctx context.Context) result {
	if why := w.canAuthenticate(); why != "" {
		return skipped(why)
	}
	path := "/ws/inbox/"
	if w.room != "" {
		path = "/ws/chat/" + w.room
	}
	var throttled atomic.Bool // by earlier diagnoses
	all := repeat(ctx, times, w.width, func(i int) (Attempt, bool) {
		a, raw := w.request(ctx, Attempt{Probe: "ticket", Path: "/api/ticket/", Sent: "Authorization", Address: w.address(i)}, http.MethodPost, w.bearer(), "")
		var t struct{ Ticket string }
		a.OK = a.Ours && a.Status < 300 && json.Unmarshal(raw, &t) == nil && t.Ticket != ""
		if a.Ours && a.Status == http.StatusTooManyRequests {
			throttled.Store(true)
			a.OK = true
			return a, false
		}
		if !a.OK {
			return w.record(ctx, a), i < 2
		}
		issued := w.record(ctx, a)
		conn, _, a := w.enter(ctx, Attempt{Probe: "ticket", Path: path, Sent: "a ticket in the query", Address: w.address(i)}, client.Options{}, "ticket="+url.QueryEscape(t.Ticket))
		if conn != nil {
			closeSocket(conn)
		}
		a = w.record(ctx, a)
		a.TotalMS = max(a.TotalMS, issued.MS)
		return a, true
	})
	if throttled.Load() && len(all) < 4 {
		return skipped("this user got too many tickets within a minute")
	}
	return summary(all, "connections by ticket", time.Second)
}

// connectAsClassic connects as an app of the predecessor, if the deployment takes those.
func (w *walk) connectAsClassic(ctx context.Context) result {
	if !w.reached() {
		return result{}
	}
	conn, a := w.open(ctx, Attempt{Probe: "classic", Path: "/ws/test/", Sent: "nothing"}, client.Options{Classic: true}, "")
	if conn == nil {
		return result{} // the step upgrade says why
	}
	const text = `{"message":"roomspa diagnose"}`
	_ = conn.Send([]byte(text)) // the error of Read says more
	f, ok := w.await(ctx, conn, &a, func(f client.Frame) bool { return f.Type == connectionEstablished || string(f.Raw) == text })
	closeSocket(conn)
	if !ok || f.Type != connectionEstablished {
		return result{} // the deployment takes no classic clients
	}
	a.OK, a.Frames = true, connectionEstablished
	w.record(ctx, a)
	if w.canAuthenticate() != "" || w.canJoin() != "" {
		return passed("classic clients are taken; only /ws/test/ was tested as one")
	}
	rest, _ := w.request(ctx, Attempt{Probe: "classic", Path: "/chat/conversations/", Sent: "Authorization"}, http.MethodGet, w.bearer(), "")
	rest.OK = rest.Ours && rest.Status == http.StatusOK
	rest = w.record(ctx, rest)
	conn, chat := w.open(ctx, Attempt{Probe: "classic", Path: "/ws/chat/" + w.room, Sent: "the token in the query"}, client.Options{Classic: true, Token: w.Token}, "")
	if conn != nil {
		chat.OK = w.staysOpen(ctx, conn, &chat)
	}
	return summary([]Attempt{rest, w.record(ctx, chat)}, "requests of a classic client", time.Second)
}

// connectionEstablished is the type of the first frame of /ws/test/ for classic clients.
const connectionEstablished = "connection_established"

// refusalTime is how long a refusal may take. A classic client gets no frame that says that its
// handshake succeeded.
const refusalTime = time.Second

func (w *walk) staysOpen(ctx context.Context, conn *client.Conn, a *Attempt) bool {
	defer closeSocket(conn)
	limited, cancel := context.WithTimeout(ctx, refusalTime)
	defer cancel()
	_, ok := w.await(limited, conn, a, ofType(frame.TypeConnected))
	open := !ok && a.Error == "timeout" && a.Close == 0
	if open {
		a.Error, a.TotalMS = "", a.MS
	}
	return open
}

// classic reports whether the deployment takes classic clients. Then sign-in and REST may be those
// of another server on the same host.
func (f *Facts) classic() bool {
	return f.any(func(a *Attempt) bool { return a.Frames == connectionEstablished })
}
