package app_test

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestNoSecretComesToLight does everything that involves a secret, the right way and wrong ways. Then it looks for pieces of
// secrets in everything that was logged, shown or answered.
func TestNoSecretComesToLight(t *testing.T) {
	t.Parallel()
	x := newSecrecy(t)
	keySet, sign := world.KeySet(t)
	jwks := func(o *app.Options) { o.JWKS = keySet }
	workers := *x.World
	workers.PasswordProgram = world.Program(t)
	a, b := x.start(t, x.World, "a", jwks), x.start(t, &workers, "b", jwks)
	a.WaitReady(t)
	b.WaitReady(t)

	var apart sync.WaitGroup
	apart.Go(func() { t.Run("wrong stores", x.startWithWrongStores) })
	x.signInAndOut(t, a, b)
	x.abuseSignIn(t, a)
	x.sendBadTokens(t, a, sign)
	x.useTickets(t, a, b)
	x.sendTokensAstray(t, a)
	x.sendBadFrames(t, a)
	x.chat(t, a, b)
	x.failStores(t, b)

	x.finish(t, a)
	x.finish(t, b)
	apart.Wait()
	x.recordKeptStories(t)
	x.judge(t)
}

func (x *secrecy) signInAndOut(t *testing.T, a, b *world.Replica) {
	t.Helper()
	credentials := m{"identifier": "user1@example.com", "password": x.password}
	for range 2 { // the first time the hash is upgraded
		access, refresh := x.signIn(t, a, "/login/", credentials)
		s := x.dial(t, b, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", access}})
		s.Expect(t, "connected")
		_, next := x.signIn(t, b, "/token/refresh/", m{"refresh_token": refresh})
		fresh, last := x.signIn(t, a, "/token/refresh/", m{"refresh_token": next})
		s.Send(t, `{"type":"auth","token":"`+fresh+`"}`)
		s.ExpectNothing(t)
		x.request(t, a, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`) // it was used before
		x.request(t, b, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+last+`"}`)    // so its successor is revoked too
		x.request(t, b, http.MethodPost, "/logout/", "", `{"refresh_token":"`+last+`"}`)
		_, other := x.signIn(t, b, "/login/", credentials)
		x.request(t, a, http.MethodPost, "/logout/", "", `{"refresh_token":"`+other+`","everywhere":true}`)
		s.WaitClose(t)
		x.connectAndWait(t, a, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {fresh}}})
		x.request(t, a, http.MethodGet, "/api/conversations/", access, "")
	}
}

// abuseSignIn sends wrong requests with passwords and refresh tokens.
func (x *secrecy) abuseSignIn(t *testing.T, r *world.Replica) {
	t.Helper()
	quoted := func(text string) string { return inJSON(text, false) }
	wrong, access := x.secret("a wrong password"), x.accessToken(t, world.Customer)
	for _, body := range []string{
		`{"identifier":"user1@example.com","password":"` + quoted(wrong) + `"}`,
		`{"identifier":"user5@example.com","password":"` + quoted(x.password) + `"}`, // inactive
		`{"identifier":"nobody@example.com","password":"` + quoted(wrong) + `"}`,
		`{"identifier":"` + quoted(wrong) + `","password":"` + quoted(wrong) + `"}`,
		`{"identifier":"user1@` + quoted(wrong) + `","password":"x"}`,
		`{"identifier":"` + access + `","password":"` + access + `"}`,
		`{"identifier":["` + quoted(wrong) + `"],"password":{"` + quoted(wrong) + `":1}}`,
		`{"identifier":"user1@example.com","password":` + x.add("a password of digits", strings.Repeat("7319462805", 3)) + `}`,
		`{"identifier":"user1@example.com","password":"` + quoted(wrong) + `"`,
		`{"identifier":"user1@example.com","password":"` + quoted(wrong) + "\xff\"}",
		`{"identifier":"user1@example.com","password":"` + strings.Repeat(quoted(wrong), 60) + `"}`,
		"identifier=user1@example.com&password=" + url.QueryEscape(wrong),
		wrong,
	} {
		x.request(t, r, http.MethodPost, "/login/?password="+url.QueryEscape(wrong), access, body)
		x.request(t, r, http.MethodGet, "/login/?password="+url.QueryEscape(wrong), "", body)
	}
	of := func(changed m) string {
		c := world.Claims(m{"token_type": "refresh", "jti": "a0"})
		maps.Copy(c, changed)
		return x.jwt("a refresh token", world.Forge(t, world.HS256, c, x.Secret))
	}
	for _, token := range []string{
		access, wrong, of(nil) + "x", of(m{"exp": time.Now().Unix() - 60}), of(m{"user_id": world.Nobody}), of(m{"user_id": world.Inactive}), of(m{"jti": nil}),
		of(m{"user_id": world.Revoked}), of(m{"jti": "b1", "family": "b0"}), x.jwt("a refresh token", world.Forge(t, world.HS256, world.Claims(m{"token_type": "refresh"}), wrong)),
	} {
		for _, path := range []string{"/token/refresh/", "/logout/"} {
			x.request(t, r, http.MethodPost, path, token, `{"refresh_token":"`+quoted(token)+`"}`)
			x.request(t, r, http.MethodPost, path, "", `{"refresh_token":["`+quoted(token)+`"],"everywhere":"`+quoted(token)+`"}`)
			x.request(t, r, http.MethodPost, path, "", `{"refresh_token":"`+quoted(token))
		}
	}
}

// sendBadTokens sends bad tokens to every endpoint that takes one, in every way.
func (x *secrecy) sendBadTokens(t *testing.T, r *world.Replica, sign func(m) string) {
	t.Helper()
	good, word := x.accessToken(t, world.Customer), x.word("a password in the place of a token")
	forged := func(header, claims any, key string) string {
		return x.jwt("a token that is refused", world.Forge(t, header, claims, key))
	}
	of := func(changed m) string { return forged(world.HS256, world.Claims(changed), x.Secret) }
	parts := strings.Split(good, ".")
	tokens := []string{
		good, x.accessToken(t, world.Therapist), x.jwt("a token of the key set", sign(world.Claims(nil))), x.jwt("a token of the key set", sign(world.Claims(m{"exp": nil}))),
		word, x.secret("a password in the place of a token"), word + "." + word + "." + word, x.ticketLike(),
		good + "x", good[:len(good)-8], parts[0] + "." + parts[1], parts[1] + "." + parts[2], "." + parts[1] + "." + parts[2], parts[0] + "..", parts[0] + "." + parts[1] + ".",
		good + "." + parts[2], "Bearer " + good, `"` + good + `"`, good + "\n[ChatConsumer] forged", url.QueryEscape(good + "&"), strings.ToLower(good), good + "," + good,
		strings.Repeat(parts[1], 100), parts[0] + "." + strings.Repeat(parts[1], 100) + "." + parts[2],
		forged(world.HS256, world.Claims(nil), "another secret that has 32 bytes or more"), forged(m{"alg": "none", "typ": "JWT"}, world.Claims(nil), x.Secret),
		forged(m{"alg": "HS512", "typ": "JWT"}, world.Claims(nil), x.Secret), forged(m{"alg": "HS256", "kid": "a kid that nobody knows"}, world.Claims(nil), "x"),
		x.add("no token", world.Forge(t, "no header of a JWT at all", world.Claims(nil), x.Secret)), forged(world.HS256, "no claims of a JWT at all", x.Secret),
		of(m{"token_type": "refresh"}), of(m{"exp": time.Now().Unix() - 60}), of(m{"exp": nil}), of(m{"exp": "soon"}), of(m{"nbf": world.Ahead()}), of(m{"iat": world.Ahead()}),
		of(m{"user_id": nil}), of(m{"user_id": word}), of(m{"user_id": world.Nobody}), of(m{"user_id": world.Inactive}), of(m{"user_id": world.Revoked}), of(m{"jti": word, "role": word, "user_id": 1.5}),
	}
	for i, token := range tokens {
		other := tokens[(i+1)%len(tokens)]
		for j, d := range []world.Handshake{
			{Query: url.Values{"token": {token}}},
			{Header: http.Header{"Authorization": {"Bearer " + token}}},
			{Header: http.Header{"Authorization": {"Basic " + token}}},
			{Subprotocols: []string{"bearer", token}},
			{Subprotocols: []string{token}},
			{Query: url.Values{"token": {token, other}}},
			{Query: url.Values{"token": {token}, "last_ref": {token}, "last_code": {token}, "since": {token}}},
			{Header: http.Header{"Authorization": {"Bearer " + token}}, Subprotocols: []string{"bearer", other}},
		} {
			d.Path = []string{"/ws/chat/1/2/", "/ws/location/1/2/"}[(i+j)%2]
			x.knock(t, r, d)
		}
		for _, path := range []string{"/api/conversations/", "/api/conversations/?token=" + url.QueryEscape(token), "/api/conversations/" + url.PathEscape(token) + "/messages/"} {
			if header := strings.ReplaceAll(token, "\n", " "); !strings.ContainsAny(token, "\x00") {
				x.request(t, r, http.MethodGet, path, header, "", "message")
			}
		}
	}
}

// ticketLike returns a ticket that nobody has issued.
func (x *secrecy) ticketLike() string { return x.word("a made-up ticket")[:26] }

// knock connects, and disconnects at once if it is let in.
func (x *secrecy) knock(t *testing.T, r *world.Replica, d world.Handshake) {
	t.Helper()
	s := x.dial(t, r, d)
	if s == nil {
		return
	}
	if g := s.Next(t); g.Type == "connected" {
		hangUp(t, r, s, websocket.StatusNormalClosure, "")
		return
	}
	s.WaitClose(t)
}

// hangUp closes a socket and waits until the server has noticed.
func hangUp(t *testing.T, r *world.Replica, s *world.Socket, code websocket.StatusCode, reason string) {
	t.Helper()
	_ = s.Conn.Close(code, reason)
	r.WaitDisconnected(t, s)
}

func (x *secrecy) useTickets(t *testing.T, a, b *world.Replica) {
	t.Helper()
	token, other := x.accessToken(t, world.Customer), x.accessToken(t, world.Therapist)
	for _, q := range []url.Values{
		{"ticket": {x.issueTicket(t, a, token)}},
		{"ticket": {x.issueTicket(t, a, other)}}, // the other side of the room may enter it
		{"ticket": {x.ticketLike()}},
		{"ticket": {x.secret("a password in the place of a ticket")}},
		{"ticket": {token}},
		{"ticket": {x.issueTicket(t, a, token), x.issueTicket(t, b, token)}},
		{"ticket": {x.issueTicket(t, a, token)}, "token": {other}},
		{"ticket": {x.issueTicket(t, a, token)}, "token": {token + "x"}},
		{"ticket": {x.issueTicket(t, a, token)}, "token": {token}},
	} {
		for range 2 { // the second time it is used
			x.knock(t, b, world.Handshake{Path: "/ws/chat/1/2/", Query: q})
		}
	}
	x.request(t, a, http.MethodPost, "/api/ticket/?ticket="+x.ticketLike(), token+"x", "")
	x.request(t, a, http.MethodGet, "/api/ticket/?ticket="+x.ticketLike(), token, "")
}

// sendTokensAstray sends good tokens to paths that do not exist or that this client may not enter.
func (x *secrecy) sendTokensAstray(t *testing.T, r *world.Replica) {
	t.Helper()
	token, ticket, word := x.accessToken(t, world.Customer), x.issueTicket(t, r, x.accessToken(t, world.Customer)), x.secret("a password in a path")
	query, bearer := "?token="+token+"&ticket="+ticket+"&password="+url.QueryEscape(word), "Authorization: Bearer "+token
	for _, path := range []string{
		"/", "/ws/", "/ws/nowhere/", "/ws/chat/", "/ws/chat/1/", "/ws/chat//2/", "/ws/chat/x/2/", "/ws/chat/1/2/3/", "/ws/chat/3/2/", "/ws/chat/2/1/", "/ws/chat/1/99/",
		"/ws/location/3/2/", "//ws/chat/1/2/", "/login/", "/api/nothing/", "/console/nothing", "/ws/test/",
		// clients that build URLs wrongly
		"/ws/chat/1/2/%3Ftoken=" + token, "/ws/chat/1/2%3ftoken=" + token, "/ws/chat/1/2/&token=" + token, "/ws/chat/1/2/token=" + token, "/ws/chat/1/2;token=" + token,
		"/ws/chat/1/2/" + token, "/ws/chat/" + token + "/1/2/", "/ws/chat/" + token + "/2/", "/ws/chat/1/" + token, "/ws/" + token, "/" + token, "/ws/test/" + token,
		"/ws/chat/1/2/%3Fticket=" + ticket, "/ws/chat/1/2%253Fticket=" + ticket, "/ws/chat/1/" + ticket, "/ws/chat/1/2/" + url.PathEscape(word), "/ws/chat/1/" + url.PathEscape(word),
	} {
		for _, request := range [][]string{
			world.Upgrade(path+query, bearer),
			world.Upgrade(path, bearer, "Origin: https://evil.example"),
			world.Upgrade(path+query, "Origin: https://evil.example"),
			world.Without(world.Upgrade(path+query), "Upgrade"),
			world.Without(world.Upgrade(path+query), "Sec-WebSocket-Key"),
			append(world.Without(world.Upgrade(path+query, bearer), "Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"),
			append([]string{"POST " + path + query + " HTTP/1.1"}, world.Upgrade(path+query, bearer)[1:]...),
			{"GET " + path + query + " HTTP/1.1", "Host: example.com", bearer, "Connection: close"},
			{"OPTIONS " + path + query + " HTTP/1.1", "Host: example.com", bearer, "Origin: https://evil.example", "Connection: close"},
		} {
			// A Close, in case a socket is open.
			res, body := r.RawThen(t, "\x88\x82\x00\x00\x00\x00\x03\xe8", request...)
			if res.Request == nil && strings.HasPrefix(path, "/ws/test") && res.StatusCode == http.StatusSwitchingProtocols {
				continue
			}
			x.record("the answer to "+strings.SplitN(path, "?", 2)[0], res.Status+string(body))
			for name, values := range res.Header {
				x.record("a header of an answer", name+": "+strings.Join(values, ", "))
			}
		}
	}
	for _, q := range []string{"?close=" + token, "?greet=" + token, "?close=4001&token=" + token} {
		res, body := r.RawThen(t, "\x88\x82\x00\x00\x00\x00\x03\xe8", world.Upgrade("/ws/test/"+q)...)
		x.record("the answer of the test endpoint", res.Status+string(body))
	}
}

// chat sends messages and positions both ways, and reads them over HTTP.
func (x *secrecy) chat(t *testing.T, a, b *world.Replica) {
	t.Helper()
	here := x.dial(t, a, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Customer)}, "since": {"0"}}})
	there := x.dial(t, b, world.Handshake{Path: "/ws/chat/1/2/", Header: http.Header{"Authorization": {"Bearer " + x.accessToken(t, world.Therapist)}}})
	for i := range 20 {
		here.Say(t, x.secret("a message"), "c"+strconv.Itoa(i))
		there.Say(t, x.secret("a message"), "t"+strconv.Itoa(i))
		here.Find(t, "chat_message")
		there.Find(t, "chat_message")
	}
	there.Send(t, `{"type":"history","limit":50}`)
	there.Find(t, "history")
	place, map1 := x.dial(t, a, world.Handshake{Path: "/ws/location/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Therapist)}}}),
		x.dial(t, b, world.Handshake{Path: "/ws/location/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Customer)}}})
	place.Expect(t, "connected")
	map1.Expect(t, "connected")
	for range 10 {
		place.Send(t, `{"latitude":`+x.add("a position", "12."+digits(t))+`,"longitude":2}`)
		map1.Find(t, "location_update")
	}
	for _, user := range []room.UserID{world.Customer, world.Therapist} {
		id := world.Query[string](t, x.World, "SELECT id::text FROM roomspa.conversations LIMIT 1")
		for _, path := range []string{"/api/conversations/", "/api/conversations/" + id + "/messages/", "/api/conversations/" + id + "/messages/?limit=1000"} {
			x.request(t, a, http.MethodGet, path, x.accessToken(t, user), "", "message")
		}
	}
	for _, path := range []string{"/api/conversations/", "/api/conversations/?user_id=1"} {
		x.request(t, b, http.MethodGet, path, x.accessToken(t, world.Support), "", "message")
	}
	for s, r := range map[*world.Socket]*world.Replica{here: a, there: b, place: a, map1: b} {
		hangUp(t, r, s, 4321, x.word("what a client says at its end"))
	}
}

// sendBadFrames sends secrets in frames that are refused.
func (x *secrecy) sendBadFrames(t *testing.T, r *world.Replica) {
	t.Helper()
	text, bad := x.secret("a message that is refused"), x.jwt("a token in a frame", world.Forge(t, world.HS256, world.Claims(nil), "x"))
	quoted := inJSON(text, false)
	for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
		s := x.dial(t, r, world.Handshake{Path: path, Query: url.Values{"token": {x.accessToken(t, world.Customer)}}})
		s.Expect(t, "connected")
		other := x.dial(t, r, world.Handshake{Path: path, Query: url.Values{"token": {x.accessToken(t, world.Therapist)}}})
		other.Expect(t, "connected")
		for _, text := range []string{
			text, `"` + quoted + `"`, `["` + quoted + `"]`, `{"message":"` + quoted, `{"message":"` + quoted + `"} x`, `{"type":"shout","message":"` + quoted + `"}`,
			`{"type":1,"message":"` + quoted + `"}`, `{"message":["` + quoted + `"]}`, `{"message":"` + quoted + `\u0000"}`, `{"message":"` + quoted + `\ud83d"}`,
			`{"message":"` + strings.Repeat(quoted, 60) + `"}`, `{"message":"x","client_message_id":["` + quoted + `"]}`, `{"latitude":"` + quoted + `"}`,
			`{"latitude":` + x.add("a position out of range", "91."+digits(t)) + `,"longitude":2}`, `{"latitude":1,"longitude":2,"recorded_at":"` + quoted + `"}`,
			`{"type":"history","before_seq":"` + quoted + `"}`, `{"text":"` + quoted + `"}`,
			`{"type":"auth","token":"` + bad + `"}`, `{"type":"auth","token":["` + bad + `"]}`, `{"type":"auth","token":"` + bad, `{"type":"auth","token":{"` + bad + `":1}}`,
			`{"type":"auth","token":"` + quoted + `"}`, `{"type":"auth","token":"` + x.accessToken(t, world.Therapist) + `"}`, `{"type":"auth","token":"` + x.accessToken(t, world.Customer) + `"}`,
		} {
			s.Send(t, text)
		}
		s.Send(t, `{"type":"ping"}`)
		s.Find(t, "pong")
		other.Send(t, `{"type":"ping"}`)
		other.Find(t, "pong")
		for range 200 { // more than the rate limit allows
			s.Send(t, `{"message":"`+quoted+`","type":"shout"}`)
		}
		hangUp(t, r, s, websocket.StatusNormalClosure, "")
		hangUp(t, r, other, websocket.StatusNormalClosure, "")
		for _, end := range []struct {
			kind websocket.MessageType
			text string
		}{
			{websocket.MessageBinary, text}, {websocket.MessageText, text + "\xff"}, {websocket.MessageText, strings.Repeat(text, 1000)},
		} {
			s := x.dial(t, r, world.Handshake{Path: path, Query: url.Values{"token": {x.accessToken(t, world.Customer)}}})
			s.Expect(t, "connected")
			s.Write(t, end.kind, []byte(end.text))
			s.WaitClose(t)
		}
		for _, wire := range []string{"\x81\x20" + text[:32], "\xf1\xa0\x00\x00\x00\x00" + text[:32], "\x89\xfe\x00\x80\x00\x00\x00\x00" + text[:60], "\x88\xa2\x00\x00\x00\x00\x03\xee" + text[:32]} {
			_, body := r.RawThen(t, wire, world.Upgrade(path, "Authorization: Bearer "+x.accessToken(t, world.Customer))...)
			x.record("what a breach of the protocol is told", string(body))
		}
	}
}

// digits returns the digits of a unique position.
func digits(t *testing.T) string {
	t.Helper()
	return strconv.FormatInt(time.Now().UnixNano(), 10)
}
