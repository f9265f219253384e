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
)

// TestNoSecretComesToLight plays all that has to do with a secret, the good ways
// and the bad ones, and then looks for a piece of one in whatever was logged,
// shown or answered.
func TestNoSecretComesToLight(t *testing.T) {
	t.Parallel()
	x := newSecrecy(t)
	keySet, sign := edKeySet(t)
	jwks := func(o *app.Options) { o.JWKS = keySet }
	a, b := x.replica(t, x.world, "a", jwks), x.replica(t, x.world, "b", jwks)
	a.becomesReady(t)
	b.becomesReady(t)

	var apart sync.WaitGroup
	apart.Go(func() { t.Run("wrong stores", x.wrongStores) })
	x.signsInAndOut(t, a, b)
	x.asksWronglyForTokens(t, a)
	x.refusedTokens(t, a, sign)
	x.tickets(t, a, b)
	x.wrongPlaces(t, a)
	x.sendsWhatIsRefused(t, a)
	x.talks(t, a, b)
	x.storesThatFail(t, b)

	x.done(t, a)
	x.done(t, b)
	apart.Wait()
	x.keptStories(t)
	x.judge(t)
}

func (x *secrecy) signsInAndOut(t *testing.T, a, b *replica) {
	t.Helper()
	credentials := m{"identifier": "user1@example.com", "password": x.password}
	for range 2 { // the first time the hash is made anew
		access, refresh := x.signIn(t, a, "/login/", credentials)
		s := x.dial(t, b, dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", access}})
		s.want(t, "connected")
		_, next := x.signIn(t, b, "/token/refresh/", m{"refresh_token": refresh})
		fresh, last := x.signIn(t, a, "/token/refresh/", m{"refresh_token": next})
		s.send(t, `{"type":"auth","token":"`+fresh+`"}`)
		s.quiet(t)
		x.ask(t, a, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`) // long used
		x.ask(t, b, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+last+`"}`)    // and so this one too
		x.ask(t, b, http.MethodPost, "/logout/", "", `{"refresh_token":"`+last+`"}`)
		_, other := x.signIn(t, a, "/login/", credentials)
		x.ask(t, a, http.MethodPost, "/logout/", "", `{"refresh_token":"`+other+`","everywhere":true}`)
		s.closed(t)
		x.refused(t, a, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {fresh}}})
		x.ask(t, a, http.MethodGet, "/api/conversations/", access, "")
	}
}

// asksWronglyForTokens does all over HTTP that may be done wrong with a password or
// a refresh token.
func (x *secrecy) asksWronglyForTokens(t *testing.T, r *replica) {
	t.Helper()
	quoted := func(text string) string { return inJSON(text, false) }
	wrong, access := x.secret("a wrong password"), x.access(t, customer)
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
		x.ask(t, r, http.MethodPost, "/login/?password="+url.QueryEscape(wrong), access, body)
		x.ask(t, r, http.MethodGet, "/login/?password="+url.QueryEscape(wrong), "", body)
	}
	of := func(changed m) string {
		c := claims(m{"token_type": "refresh", "jti": "a0"})
		maps.Copy(c, changed)
		return x.jwt("a refresh token", forge(t, hs256, c, x.jwtSecret))
	}
	for _, token := range []string{
		access, wrong, of(nil) + "x", of(m{"exp": time.Now().Unix() - 60}), of(m{"user_id": nobody}), of(m{"user_id": inactive}), of(m{"jti": nil}),
		of(m{"user_id": revoked}), of(m{"jti": "b1", "family": "b0"}), x.jwt("a refresh token", forge(t, hs256, claims(m{"token_type": "refresh"}), wrong)),
	} {
		for _, path := range []string{"/token/refresh/", "/logout/"} {
			x.ask(t, r, http.MethodPost, path, token, `{"refresh_token":"`+quoted(token)+`"}`)
			x.ask(t, r, http.MethodPost, path, "", `{"refresh_token":["`+quoted(token)+`"],"everywhere":"`+quoted(token)+`"}`)
			x.ask(t, r, http.MethodPost, path, "", `{"refresh_token":"`+quoted(token))
		}
	}
}

// refusedTokens sends everything that is no good token to everywhere that takes
// one, in every way.
func (x *secrecy) refusedTokens(t *testing.T, r *replica, sign func(m) string) {
	t.Helper()
	good, word := x.access(t, customer), x.word("a password in the place of a token")
	forged := func(header, claims any, key string) string {
		return x.jwt("a token that is refused", forge(t, header, claims, key))
	}
	of := func(changed m) string { return forged(hs256, claims(changed), x.jwtSecret) }
	parts := strings.Split(good, ".")
	tokens := []string{
		good, x.access(t, therapist), x.jwt("a token of the key set", sign(claims(nil))), x.jwt("a token of the key set", sign(claims(m{"exp": nil}))),
		word, x.secret("a password in the place of a token"), word + "." + word + "." + word, x.ticketLike(),
		good + "x", good[:len(good)-8], parts[0] + "." + parts[1], parts[1] + "." + parts[2], "." + parts[1] + "." + parts[2], parts[0] + "..", parts[0] + "." + parts[1] + ".",
		good + "." + parts[2], "Bearer " + good, `"` + good + `"`, good + "\n[ChatConsumer] forged", url.QueryEscape(good + "&"), strings.ToLower(good), good + "," + good,
		strings.Repeat(parts[1], 100), parts[0] + "." + strings.Repeat(parts[1], 100) + "." + parts[2],
		forged(hs256, claims(nil), "another secret that has 32 bytes or more"), forged(m{"alg": "none", "typ": "JWT"}, claims(nil), x.jwtSecret),
		forged(m{"alg": "HS512", "typ": "JWT"}, claims(nil), x.jwtSecret), forged(m{"alg": "HS256", "kid": "a kid that nobody knows"}, claims(nil), "x"),
		x.add("no token", forge(t, "no header of a JWT at all", claims(nil), x.jwtSecret)), forged(hs256, "no claims of a JWT at all", x.jwtSecret),
		of(m{"token_type": "refresh"}), of(m{"exp": time.Now().Unix() - 60}), of(m{"exp": nil}), of(m{"exp": "soon"}), of(m{"nbf": ahead()}), of(m{"iat": ahead()}),
		of(m{"user_id": nil}), of(m{"user_id": word}), of(m{"user_id": nobody}), of(m{"user_id": inactive}), of(m{"user_id": revoked}), of(m{"jti": word, "role": word, "user_id": 1.5}),
	}
	for i, token := range tokens {
		other := tokens[(i+1)%len(tokens)]
		for j, d := range []dial{
			{query: url.Values{"token": {token}}},
			{header: http.Header{"Authorization": {"Bearer " + token}}},
			{header: http.Header{"Authorization": {"Basic " + token}}},
			{subprotocols: []string{"bearer", token}},
			{subprotocols: []string{token}},
			{query: url.Values{"token": {token, other}}},
			{query: url.Values{"token": {token}, "last_ref": {token}, "last_code": {token}, "since": {token}}},
			{header: http.Header{"Authorization": {"Bearer " + token}}, subprotocols: []string{"bearer", other}},
		} {
			d.path = []string{"/ws/chat/1/2/", "/ws/location/1/2/"}[(i+j)%2]
			x.knock(t, r, d)
		}
		for _, path := range []string{"/api/conversations/", "/api/conversations/?token=" + url.QueryEscape(token), "/api/conversations/" + url.PathEscape(token) + "/messages/"} {
			if header := strings.ReplaceAll(token, "\n", " "); !strings.ContainsAny(token, "\x00") {
				x.ask(t, r, http.MethodGet, path, header, "", "message")
			}
		}
	}
}

// ticketLike is what a ticket looks like, and nobody has issued.
func (x *secrecy) ticketLike() string { return x.word("a made-up ticket")[:26] }

// knock connects, and leaves at once where it was let in.
func (x *secrecy) knock(t *testing.T, r *replica, d dial) {
	t.Helper()
	s := x.dial(t, r, d)
	if s == nil {
		return
	}
	if g := s.next(t); g.Type == "connected" {
		hangsUp(t, r, s, websocket.StatusNormalClosure, "")
		return
	}
	s.closed(t)
}

// hangsUp closes a socket. Which of the two ends notices first that the other one is
// gone is open, so the server's word counts.
func hangsUp(t *testing.T, r *replica, s *socket, code websocket.StatusCode, reason string) {
	t.Helper()
	_ = s.conn.Close(code, reason)
	r.disconnected(t, s)
}

func (x *secrecy) tickets(t *testing.T, a, b *replica) {
	t.Helper()
	token, other := x.access(t, customer), x.access(t, therapist)
	for _, q := range []url.Values{
		{"ticket": {x.ticket(t, a, token)}},
		{"ticket": {x.ticket(t, a, other)}}, // another side's room path, let in by the role
		{"ticket": {x.ticketLike()}},
		{"ticket": {x.secret("a password in the place of a ticket")}},
		{"ticket": {token}},
		{"ticket": {x.ticket(t, a, token), x.ticket(t, b, token)}},
		{"ticket": {x.ticket(t, a, token)}, "token": {other}},
		{"ticket": {x.ticket(t, a, token)}, "token": {token + "x"}},
		{"ticket": {x.ticket(t, a, token)}, "token": {token}},
	} {
		for range 2 { // the second time it is used
			x.knock(t, b, dial{path: "/ws/chat/1/2/", query: q})
		}
	}
	x.ask(t, a, http.MethodPost, "/api/ticket/?ticket="+x.ticketLike(), token+"x", "")
	x.ask(t, a, http.MethodGet, "/api/ticket/?ticket="+x.ticketLike(), token, "")
}

// wrongPlaces sends good tokens to where there is nothing, or nothing for this
// client.
func (x *secrecy) wrongPlaces(t *testing.T, r *replica) {
	t.Helper()
	token, ticket, word := x.access(t, customer), x.ticket(t, r, x.access(t, customer)), x.secret("a password in a path")
	query, bearer := "?token="+token+"&ticket="+ticket+"&password="+url.QueryEscape(word), "Authorization: Bearer "+token
	for _, path := range []string{
		"/", "/ws/", "/ws/nowhere/", "/ws/chat/", "/ws/chat/1/", "/ws/chat//2/", "/ws/chat/x/2/", "/ws/chat/1/2/3/", "/ws/chat/3/2/", "/ws/chat/2/1/", "/ws/chat/1/99/",
		"/ws/location/3/2/", "//ws/chat/1/2/", "/login/", "/api/nothing/", "/console/nothing", "/ws/test/",
		// clients that put together what does not belong together
		"/ws/chat/1/2/%3Ftoken=" + token, "/ws/chat/1/2%3ftoken=" + token, "/ws/chat/1/2/&token=" + token, "/ws/chat/1/2/token=" + token, "/ws/chat/1/2;token=" + token,
		"/ws/chat/1/2/" + token, "/ws/chat/" + token + "/1/2/", "/ws/chat/" + token + "/2/", "/ws/chat/1/" + token, "/ws/" + token, "/" + token, "/ws/test/" + token,
		"/ws/chat/1/2/%3Fticket=" + ticket, "/ws/chat/1/2%253Fticket=" + ticket, "/ws/chat/1/" + ticket, "/ws/chat/1/2/" + url.PathEscape(word), "/ws/chat/1/" + url.PathEscape(word),
	} {
		for _, request := range [][]string{
			shake(path+query, bearer),
			shake(path, bearer, "Origin: https://evil.example"),
			shake(path+query, "Origin: https://evil.example"),
			without(shake(path+query), "Upgrade"),
			without(shake(path+query), "Sec-WebSocket-Key"),
			append(without(shake(path+query, bearer), "Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"),
			append([]string{"POST " + path + query + " HTTP/1.1"}, shake(path+query, bearer)[1:]...),
			{"GET " + path + query + " HTTP/1.1", "Host: example.com", bearer, "Connection: close"},
			{"OPTIONS " + path + query + " HTTP/1.1", "Host: example.com", bearer, "Origin: https://evil.example", "Connection: close"},
		} {
			// A socket that is open says goodbye.
			res, body := r.rawThen(t, "\x88\x82\x00\x00\x00\x00\x03\xe8", request...)
			if res.Request == nil && strings.HasPrefix(path, "/ws/test") && res.StatusCode == http.StatusSwitchingProtocols {
				continue
			}
			x.say("the answer to "+strings.SplitN(path, "?", 2)[0], res.Status+string(body))
			for name, values := range res.Header {
				x.say("a header of an answer", name+": "+strings.Join(values, ", "))
			}
		}
	}
	for _, q := range []string{"?close=" + token, "?greet=" + token, "?close=4001&token=" + token} {
		res, body := r.rawThen(t, "\x88\x82\x00\x00\x00\x00\x03\xe8", shake("/ws/test/"+q)...)
		x.say("the answer of the test endpoint", res.Status+string(body))
	}
}

// talks chats both ways, follows a position and reads all of it again.
func (x *secrecy) talks(t *testing.T, a, b *replica) {
	t.Helper()
	here := x.dial(t, a, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {x.access(t, customer)}, "since": {"0"}}})
	there := x.dial(t, b, dial{path: "/ws/chat/1/2/", header: http.Header{"Authorization": {"Bearer " + x.access(t, therapist)}}})
	for i := range 20 {
		here.say(t, x.secret("a message"), "c"+strconv.Itoa(i))
		there.say(t, x.secret("a message"), "t"+strconv.Itoa(i))
		here.find(t, "chat_message")
		there.find(t, "chat_message")
	}
	there.send(t, `{"type":"history","limit":50}`)
	there.find(t, "history")
	place, map1 := x.dial(t, a, dial{path: "/ws/location/1/2/", query: url.Values{"token": {x.access(t, therapist)}}}),
		x.dial(t, b, dial{path: "/ws/location/1/2/", query: url.Values{"token": {x.access(t, customer)}}})
	place.want(t, "connected")
	map1.want(t, "connected")
	for range 10 {
		place.send(t, `{"latitude":`+x.add("a position", "12."+digits(t))+`,"longitude":2}`)
		map1.find(t, "location_update")
	}
	for _, user := range []room.UserID{customer, therapist} {
		id := query[string](t, x.world, "SELECT id::text FROM roomspa.conversations LIMIT 1")
		for _, path := range []string{"/api/conversations/", "/api/conversations/" + id + "/messages/", "/api/conversations/" + id + "/messages/?limit=1000"} {
			x.ask(t, a, http.MethodGet, path, x.access(t, user), "", "message")
		}
	}
	for _, path := range []string{"/api/conversations/", "/api/conversations/?user_id=1"} {
		x.ask(t, b, http.MethodGet, path, x.access(t, support), "", "message")
	}
	for s, r := range map[*socket]*replica{here: a, there: b, place: a, map1: b} {
		hangsUp(t, r, s, 4321, x.word("what a client says at its end"))
	}
}

// sendsWhatIsRefused sends text in every frame that is none.
func (x *secrecy) sendsWhatIsRefused(t *testing.T, r *replica) {
	t.Helper()
	text, bad := x.secret("a message that is refused"), x.jwt("a token in a frame", forge(t, hs256, claims(nil), "x"))
	quoted := inJSON(text, false)
	for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
		s := x.dial(t, r, dial{path: path, query: url.Values{"token": {x.access(t, customer)}}})
		s.want(t, "connected")
		other := x.dial(t, r, dial{path: path, query: url.Values{"token": {x.access(t, therapist)}}})
		other.want(t, "connected")
		for _, text := range []string{
			text, `"` + quoted + `"`, `["` + quoted + `"]`, `{"message":"` + quoted, `{"message":"` + quoted + `"} x`, `{"type":"shout","message":"` + quoted + `"}`,
			`{"type":1,"message":"` + quoted + `"}`, `{"message":["` + quoted + `"]}`, `{"message":"` + quoted + `\u0000"}`, `{"message":"` + quoted + `\ud83d"}`,
			`{"message":"` + strings.Repeat(quoted, 60) + `"}`, `{"message":"x","client_message_id":["` + quoted + `"]}`, `{"latitude":"` + quoted + `"}`,
			`{"latitude":` + x.add("a position out of range", "91."+digits(t)) + `,"longitude":2}`, `{"latitude":1,"longitude":2,"recorded_at":"` + quoted + `"}`,
			`{"type":"history","before_seq":"` + quoted + `"}`, `{"text":"` + quoted + `"}`,
			`{"type":"auth","token":"` + bad + `"}`, `{"type":"auth","token":["` + bad + `"]}`, `{"type":"auth","token":"` + bad, `{"type":"auth","token":{"` + bad + `":1}}`,
			`{"type":"auth","token":"` + quoted + `"}`, `{"type":"auth","token":"` + x.access(t, therapist) + `"}`, `{"type":"auth","token":"` + x.access(t, customer) + `"}`,
		} {
			s.send(t, text)
		}
		s.send(t, `{"type":"ping"}`)
		s.find(t, "pong")
		other.send(t, `{"type":"ping"}`)
		other.find(t, "pong")
		for range 200 { // more than may be
			if s.conn.Write(t.Context(), websocket.MessageText, []byte(`{"message":"`+quoted+`","type":"shout"}`)) != nil {
				break
			}
		}
		s.closed(t)
		hangsUp(t, r, other, websocket.StatusNormalClosure, "")
		for _, end := range []struct {
			kind websocket.MessageType
			text string
		}{
			{websocket.MessageBinary, text}, {websocket.MessageText, text + "\xff"}, {websocket.MessageText, strings.Repeat(text, 1000)},
		} {
			s := x.dial(t, r, dial{path: path, query: url.Values{"token": {x.access(t, customer)}}})
			s.want(t, "connected")
			s.write(t, end.kind, []byte(end.text))
			s.closed(t)
		}
		for _, wire := range []string{"\x81\x20" + text[:32], "\xf1\xa0\x00\x00\x00\x00" + text[:32], "\x89\xfe\x00\x80\x00\x00\x00\x00" + text[:60], "\x88\xa2\x00\x00\x00\x00\x03\xee" + text[:32]} {
			_, body := r.rawThen(t, wire, shake(path, "Authorization: Bearer "+x.access(t, customer))...)
			x.say("what a breach of the protocol is told", string(body))
		}
	}
}

// digits are those of a position that nobody else has.
func digits(t *testing.T) string {
	t.Helper()
	return strconv.FormatInt(time.Now().UnixNano(), 10)
}
