package app_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

const password = "correct horse battery staple"

// givePassword lets a user sign in. The hash is cheap; the first sign-in makes it
// a good one.
func (w *world) givePassword(t testing.TB, users ...room.UserID) {
	t.Helper()
	w.setPassword(t, password, users...)
}

func (w *world) setPassword(t testing.TB, password string, users ...room.UserID) {
	t.Helper()
	salt, enc := []byte("salt-of-16-bytes"), base64.RawStdEncoding.EncodeToString
	hash := "$argon2id$v=19$m=64,t=1,p=1$" + enc(salt) + "$" + enc(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32))
	for _, u := range users {
		execute(t, w.databaseURL, "UPDATE roomspa.users SET password = $2 WHERE id = $1", u, hash)
	}
}

// An answer is any of the endpoints of a sign-in, good or bad.
type answer struct {
	status     int
	header     http.Header
	Access     string `json:"access_token"`
	Refresh    string `json:"refresh_token"`
	ExpiresIn  int64  `json:"expires_in"`
	Ticket     string `json:"ticket"`
	User       struct{ ID int64 }
	Code       string `json:"code"`
	Cause      string `json:"cause"`
	Detail     string `json:"detail"`
	Field      string `json:"field"`
	Ref        string `json:"ref"`
	retryAfter int
}

// post sends members as JSON to a path.
func (r *replica) post(t testing.TB, path string, body m, headers ...string) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	token := ""
	if body == nil {
		text = nil
	}
	if len(headers)%2 == 1 {
		token, headers = headers[0], headers[1:]
	}
	res, got := r.request(t, http.MethodPost, path, token, string(text), append(headers, "Content-Type", "application/json")...)
	a := answer{status: res.StatusCode, header: res.Header}
	if len(got) > 0 {
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("POST %s: %v: %s", path, err, got)
		}
	}
	if a.Ref != "" && a.Ref != res.Header.Get("Roomspa-Ref") {
		t.Errorf("POST %s: ref %s in the body, %s in the header", path, a.Ref, res.Header.Get("Roomspa-Ref"))
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("POST %s: Cache-Control is %q", path, res.Header.Get("Cache-Control"))
	}
	a.retryAfter, _ = strconv.Atoi(res.Header.Get("Retry-After"))
	return a
}

func (r *replica) login(t testing.TB, user room.UserID, password string, headers ...string) answer {
	t.Helper()
	return r.post(t, "/login/", m{"identifier": "user" + strconv.Itoa(int(user)) + "@example.com", "password": password}, headers...)
}

func (r *replica) refresh(t testing.TB, token string) answer {
	t.Helper()
	return r.post(t, "/token/refresh/", m{"refresh_token": token})
}

// is fails the test unless the answer has a status and a code.
func (a answer) is(t testing.TB, status int, code string) answer {
	t.Helper()
	if a.status != status || a.Code != code {
		t.Fatalf("got %d %q (%s %s), want %d %q", a.status, a.Code, a.Cause, a.Detail, status, code)
	}
	return a
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.givePassword(t, customer)
	a, b := w.pair(t)
	first, other := a.login(t, customer, password).is(t, 200, ""), a.login(t, customer, password).is(t, 200, "")
	second := b.refresh(t, first.Refresh).is(t, 200, "")
	if second.User.ID != 1 || second.ExpiresIn != 300 || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Errorf("refreshed: %+v", second)
	}
	s := b.connect(t, dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", second.Access}})
	s.want(t, "connected")
	if again := a.refresh(t, first.Refresh).is(t, 200, ""); again.Refresh != second.Refresh {
		t.Error("a client that has lost the answer gets another successor")
	}
	third := a.refresh(t, second.Refresh).is(t, 200, "")
	if got := b.refresh(t, first.Refresh).is(t, 401, "token_revoked"); !strings.Contains(got.Detail, "used before") {
		t.Errorf("a token that was used two times ago: %s", got.Detail)
	}
	for _, token := range []string{first.Refresh, second.Refresh, third.Refresh} {
		a.refresh(t, token).is(t, 401, "token_revoked")
	}
	a.refresh(t, other.Refresh).is(t, 200, "") // another sign-in of the same user
	s.quiet(t)
	for line, want := range map[string]float64{
		`roomspa_token_refreshes_total{outcome="rotated"}`: 2, `roomspa_token_refreshes_total{outcome="repeated"}`: 1,
		`roomspa_token_refreshes_total{outcome="token_revoked"}`: 3,
	} {
		if n := a.metric(t, line); n != want {
			t.Errorf("%s is %v, want %v", line, n, want)
		}
	}
	if log := a.text.String() + b.text.String(); strings.Contains(log, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.") || !strings.Contains(log, `"[Tokens] Refused: token_revoked reused, user 1"`) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestARefreshThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	refresh := func(changed m) string {
		c := claims(m{"token_type": "refresh", "jti": "a0"})
		maps.Copy(c, changed)
		return forge(t, hs256, c, secret)
	}
	for name, c := range map[string]struct {
		token, code, cause string
	}{
		"an access token":       {w.token(t, customer), "token_invalid", "wrong_type"},
		"garbage":               {"garbage", "token_invalid", "malformed"},
		"another secret":        {forge(t, hs256, claims(m{"token_type": "refresh"}), strings.Repeat("x", 40)), "token_invalid", "bad_signature"},
		"no jti":                {forge(t, hs256, claims(m{"token_type": "refresh", "jti": nil}), secret), "token_invalid", "bad_jti"},
		"expired":               {refresh(m{"exp": time.Now().Add(-time.Minute).Unix()}), "token_expired", "expired"},
		"nobody's":              {refresh(m{"user_id": nobody}), "user_unknown", ""},
		"an inactive user's":    {refresh(m{"user_id": inactive}), "user_inactive", ""},
		"of before a sign-out":  {refresh(m{"user_id": revoked}), "token_revoked", ""},
		"of a family not known": {refresh(m{"jti": "b1", "family": "b0"}), "token_revoked", ""},
	} {
		if got := r.refresh(t, c.token).is(t, 401, c.code); got.Cause != c.cause || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: cause %q, want %q", name, got.Cause, c.cause)
		}
		if got := r.post(t, "/logout/", m{"refresh_token": c.token}); c.code == "token_invalid" && got.Code != c.code {
			t.Errorf("%s, to sign out: %d %s", name, got.status, got.Code)
		}
	}
	if got := r.post(t, "/token/refresh/", m{}).is(t, 400, "bad_field"); got.Field != "refresh_token" {
		t.Errorf("field %q", got.Field)
	}
	if got := r.post(t, "/logout", m{"refresh_token": "x", "everywhere": "yes"}).is(t, 400, "bad_field"); got.Field != "everywhere" || !strings.Contains(got.Detail, "true or false") {
		t.Errorf("field %q: %s", got.Field, got.Detail)
	}
	for _, path := range []string{"/token/refresh", "/logout", "/api/ticket"} {
		if res, _ := r.request(t, http.MethodGet, path, "", ""); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d, Allow %q", path, res.StatusCode, res.Header.Get("Allow"))
		}
	}
	r.refresh(t, refresh(m{"jti": "c0"})).is(t, 200, "") // SimpleJWT's, never seen before
}

func TestSignOutOfThisDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.givePassword(t, customer)
	r := w.ready(t, "a")
	phone, tablet := r.login(t, customer, password), r.login(t, customer, password)
	s := r.chat(t, customer)
	phone = r.refresh(t, phone.Refresh).is(t, 200, "")
	for range 2 { // the second time there is nothing left to end
		r.post(t, "/logout/", m{"refresh_token": phone.Refresh}).is(t, 204, "")
	}
	r.refresh(t, phone.Refresh).is(t, 401, "token_revoked")
	r.post(t, "/logout/", m{"refresh_token": tablet.Refresh}).is(t, 204, "") // never used
	r.refresh(t, tablet.Refresh).is(t, 401, "token_revoked")
	expired := forge(t, hs256, claims(m{"token_type": "refresh", "exp": time.Now().Add(-time.Minute).Unix()}), secret)
	r.post(t, "/logout/", m{"refresh_token": expired}).is(t, 204, "")
	r.post(t, "/logout/", m{"refresh_token": expired, "everywhere": true}).is(t, 401, "token_expired")
	s.quiet(t)
	for outcome, want := range map[string]float64{"done": 2, "already": 2} {
		if n := r.metric(t, `roomspa_logouts_total{outcome="`+outcome+`",scope="this"}`); n != want {
			t.Errorf("%v signed out: %s, want %v", n, outcome, want)
		}
	}
}

func TestSignOutEverywhereClosesEverySocketAndANewSignInWorksAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.givePassword(t, customer)
	a, b := w.pair(t)
	for range 3 { // in the same second, most likely
		tokens := a.login(t, customer, password).is(t, 200, "")
		dialing := dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", tokens.Access}}
		here, there := a.connect(t, dialing), b.connect(t, dialing)
		dialing.path = "/ws/location/1/2/"
		location := b.connect(t, dialing)
		for _, s := range []*socket{here, there, location} {
			s.want(t, "connected")
		}
		peer := b.chat(t, therapist)
		began := time.Now()
		a.post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).is(t, 204, "")
		for _, s := range []*socket{here, there, location} {
			s.refusal(t, 4001, "token_revoked")
		}
		if took := time.Since(began); took > busy(time.Second) {
			t.Errorf("closed after %v", took)
		}
		peer.quiet(t)
		a.refresh(t, tokens.Refresh).is(t, 401, "token_revoked")
		a.post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).is(t, 204, "")
		b.connect(t, dialing).refusal(t, 4001, "token_revoked")
	}
	again := b.login(t, customer, password).is(t, 200, "")
	s := a.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {again.Access}}})
	s.want(t, "connected")
	refreshed := a.refresh(t, again.Refresh).is(t, 200, "")
	s2 := b.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {refreshed.Access}}})
	s2.want(t, "connected")
	s.quiet(t)
	if n := b.metric(t, `roomspa_revoked_sockets_total{found_by="notice"}`); n != 6 {
		t.Errorf("%v sockets ended on the other replica by a notice, want 6", n)
	}
}

func TestATicketStandsForATokenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	issue := func(user room.UserID) string {
		t.Helper()
		got := a.post(t, "/api/ticket/", nil, w.token(t, user)).is(t, 200, "")
		if got.Ticket == "" || got.ExpiresIn != 30 {
			t.Fatalf("%+v", got)
		}
		return got.Ticket
	}
	refused := func(word string, q url.Values) {
		t.Helper()
		if g := b.connect(t, dial{path: "/ws/chat/1/2/", query: q}).refusal(t, 4001, "token_invalid"); !strings.HasPrefix(g.Detail, word) {
			t.Errorf("detail %q, want the word %q first", g.Detail, word)
		}
	}
	ticket := issue(customer)
	s := b.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"ticket": {ticket}}})
	s.want(t, "connected")
	refused("bad_ticket", url.Values{"ticket": {ticket}})
	refused("bad_ticket", url.Values{"ticket": {"MADEUPMADEUPMADEUPMADEUP00"}})
	refused("two_tokens", url.Values{"ticket": {issue(customer), issue(customer)}})
	refused("two_tokens", url.Values{"ticket": {issue(customer)}, "token": {w.token(t, therapist)}})
	refused("malformed", url.Values{"ticket": {issue(customer)}, "token": {"garbage"}})
	both := b.connect(t, dial{path: "/ws/location/1/2/", query: url.Values{"ticket": {issue(customer)}, "token": {w.token(t, customer)}}})
	both.want(t, "connected")
	b.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"ticket": {issue(stranger)}}}).refusal(t, 4003, "not_your_room")
	a.post(t, "/api/ticket/", nil).is(t, 401, "token_missing")
	a.post(t, "/api/ticket", nil, w.token(t, inactive)).is(t, 401, "user_inactive")

	// It lives as long as the token that it was made of, and is signed out with it.
	short := a.post(t, "/api/ticket/", nil, w.tokenFor(t, customer, 10*time.Second)).is(t, 200, "")
	if short.ExpiresIn > 10 {
		t.Errorf("a ticket for %d s of a token for 10 s", short.ExpiresIn)
	}
	execute(t, w.databaseURL, "UPDATE roomspa.users SET tokens_valid_after = now() + interval '2 s' WHERE id = $1", customer)
	b.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"ticket": {short.Ticket}}}).refusal(t, 4001, "token_revoked")

	// As after 60 of them: the bucket is empty in two minutes.
	full := strconv.FormatInt(time.Now().Add(2*time.Minute).UnixMicro(), 10)
	if err := redisClient(t, w.redisURL).Set(t.Context(), w.prefix+"{throttle}:ticket:2", full, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if limited := a.post(t, "/api/ticket/", nil, w.token(t, therapist)).is(t, 429, "too_many_attempts"); limited.retryAfter < 1 {
		t.Error("no Retry-After")
	}
	if log := a.text.String() + b.text.String(); strings.Contains(log, ticket) || strings.Contains(log, short.Ticket) || !strings.Contains(log, "[JWTAuthMiddleware] Ticket found: 26 bytes") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestWithoutRedisNobodySignsInAndNoTicketIsTaken(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	w.givePassword(t, customer)
	r := w.ready(t, "a")
	tokens := r.login(t, customer, password).is(t, 200, "")
	ticket := r.post(t, "/api/ticket/", nil, tokens.Access).is(t, 200, "").Ticket
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := r.login(t, customer, password).is(t, 503, "channel_layer_unavailable"); got.retryAfter < 1 {
			t.Error("no Retry-After")
		}
	}
	r.post(t, "/api/ticket/", nil, tokens.Access).is(t, 503, "channel_layer_unavailable")
	g := r.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"ticket": {ticket}}}).refusal(t, 1011, "channel_layer_unavailable")
	if !strings.Contains(g.Detail, "ticket") || strings.Contains(g.Detail, "refused") {
		t.Errorf("detail %q", g.Detail)
	}
	r.refresh(t, tokens.Refresh).is(t, 200, "") // a sign-in lives on
}

func TestLoginsAreCountedWithoutLockingAnybodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.givePassword(t, customer, therapist, healer, support)
	a, b := w.pair(t, behindProxies, func(o *optionsOf) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1, 100, 100
	})
	from := func(address string) []string { return []string{"X-Forwarded-For", address} }
	attacker := from("203.0.113.7")
	a.login(t, nobody, "wrong", attacker...).is(t, 401, "bad_credentials") // the slowest: it works for nothing
	b.login(t, customer, "wrong", attacker...).is(t, 401, "bad_credentials")
	unknown := b.login(t, nobody, "wrong", attacker...).is(t, 429, "too_many_attempts")
	existing := a.login(t, customer, "wrong", attacker...).is(t, 429, "too_many_attempts")
	if existing.Detail != unknown.Detail || existing.retryAfter < 1 || existing.retryAfter > 60 || unknown.retryAfter < 1 {
		t.Errorf("an account that exists: %s (%d s), one that does not: %s (%d s)", existing.Detail, existing.retryAfter, unknown.Detail, unknown.retryAfter)
	}
	a.login(t, customer, password, attacker...).is(t, 429, "too_many_attempts") // the right one, too
	a.login(t, therapist, "wrong", attacker...).is(t, 401, "bad_credentials")   // another account
	for range 3 {
		b.login(t, customer, password, from("198.51.100.1")...).is(t, 200, "") // right ones do not count
	}
	// A network of IPv6 is one address; upper case is no other account.
	a.login(t, healer, "wrong", from("2001:db8::1")...).is(t, 401, "bad_credentials")
	b.login(t, healer, "wrong", from("2001:db8::2")...).is(t, 429, "too_many_attempts")
	a.post(t, "/login/", m{"identifier": "User4@Example.com", "password": "wrong"}, from("2001:db8::ffff:3")...).is(t, 429, "too_many_attempts")
	a.login(t, healer, "wrong", from("2001:db8:0:1::1")...).is(t, 401, "bad_credentials")

	if n := a.metric(t, `roomspa_logins_throttled_total{limit="account_address"}`); n != 3 {
		t.Errorf("%v refused for the account and the address, want 3", n)
	}
	keys, err := redisClient(t, w.redisURL).Keys(t.Context(), w.prefix+"{throttle}:*").Result()
	if err != nil || len(keys) == 0 || strings.Contains(strings.Join(keys, " "), "user") || strings.Contains(strings.Join(keys, " "), "203.0") {
		t.Errorf("keys %v, %v: they are to name nobody", keys, err)
	}
}

func TestAnAddressHasALimitForAllAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.givePassword(t, therapist, support)
	a, b := w.pair(t, behindProxies, func(o *optionsOf) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1, 1, 100
	})
	attacker := []string{"X-Forwarded-For", "203.0.113.7"}
	a.login(t, therapist, "wrong", attacker...).is(t, 401, "bad_credentials")
	b.login(t, support, password, attacker...).is(t, 429, "too_many_attempts")
	b.login(t, support, password, "X-Forwarded-For", "203.0.113.8").is(t, 200, "")
	if n := b.metric(t, `roomspa_logins_throttled_total{limit="address"}`); n != 1 {
		t.Errorf("%v refused for the address, want 1", n)
	}
}

func TestTheAccountsOwnLimitIsTheLastResort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.givePassword(t, customer)
	r := w.ready(t, "a", behindProxies, func(o *optionsOf) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1, 1, 2
	})
	for i := range 2 {
		r.login(t, customer, "wrong", "X-Forwarded-For", "203.0.113."+strconv.Itoa(i)).is(t, 401, "bad_credentials")
	}
	r.login(t, customer, password, "X-Forwarded-For", "203.0.113.9").is(t, 429, "too_many_attempts")
	if n := r.metric(t, `roomspa_logins_throttled_total{limit="account"}`); n != 1 {
		t.Errorf("%v refused for the account", n)
	}
}

func TestTokensOfAKeySetOpenSockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path, sign := edKeySet(t)
	r := w.ready(t, "a", func(o *optionsOf) { o.JWKS, o.JWKSAudience = path, "roomspa" })
	s := r.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {sign(claims(m{"aud": "roomspa"}))}}})
	s.want(t, "connected")
	if g := r.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {sign(claims(m{"aud": "shop"}))}}}).refusal(t, 4001, "token_invalid"); !strings.HasPrefix(g.Detail, "wrong_audience") {
		t.Errorf("detail %q", g.Detail)
	}
	r.refresh(t, sign(claims(m{"token_type": "refresh", "aud": "roomspa"}))).is(t, 401, auth.TokenInvalid)
	if n := r.metric(t, "roomspa_jwks_keys"); n != 1 {
		t.Errorf("%v keys", n)
	}
}
