package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	first, other := a.Login(t, world.Customer, world.Password).Expect(t, 200, ""), a.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	second := b.Refresh(t, first.Refresh).Expect(t, 200, "")
	if second.User.ID != 1 || second.ExpiresIn != 300 || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Errorf("refreshed: %+v", second)
	}
	s := b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", second.Access}})
	s.Expect(t, "connected")
	if again := a.Refresh(t, first.Refresh).Expect(t, 200, ""); again.Refresh != second.Refresh {
		t.Error("a client that has lost the answer gets another successor")
	}
	third := a.Refresh(t, second.Refresh).Expect(t, 200, "")
	peer := a.Chat(t, world.Therapist)
	if got := b.Refresh(t, first.Refresh).Expect(t, 401, "token_revoked"); !strings.Contains(got.Detail, "used before") {
		t.Errorf("a token that was used two times ago: %s", got.Detail)
	}
	for _, token := range []string{first.Refresh, second.Refresh, third.Refresh} {
		a.Refresh(t, token).Expect(t, 401, "token_revoked")
	}
	// What the thief has got with a refresh token ends too.
	s.ExpectRefusal(t, 4001, "token_revoked")
	b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", third.Access}}).ExpectRefusal(t, 4001, "token_revoked")
	a.Refresh(t, other.Refresh).Expect(t, 401, "token_revoked") // another sign-in of the same user
	peer.ExpectNothing(t)
	again := a.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", again.Access}}).Expect(t, "connected")
	for line, want := range map[string]float64{
		`roomspa_token_refreshes_total{outcome="rotated"}`: 1, `roomspa_token_refreshes_total{outcome="repeated"}`: 1,
		`roomspa_token_refreshes_total{outcome="token_revoked"}`: 4,
	} {
		if n := a.Metric(t, line); n != want {
			t.Errorf("%s is %v, want %v", line, n, want)
		}
	}
	if log := a.Log.String() + b.Log.String(); strings.Contains(log, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.") || !strings.Contains(log, `"[Tokens] Refused: token_revoked reused, user 1"`) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestARefreshThatIsRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	refresh := func(changed m) string {
		c := world.Claims(m{"token_type": "refresh", "jti": "a0"})
		maps.Copy(c, changed)
		return world.Forge(t, world.HS256, c, world.Secret)
	}
	for name, c := range map[string]struct {
		token, code, cause string
	}{
		"an access token":       {w.Token(t, world.Customer), "token_invalid", "wrong_type"},
		"garbage":               {"garbage", "token_invalid", "malformed"},
		"another secret":        {world.Forge(t, world.HS256, world.Claims(m{"token_type": "refresh"}), strings.Repeat("x", 40)), "token_invalid", "bad_signature"},
		"no jti":                {world.Sign(t, m{"token_type": "refresh", "jti": nil}), "token_invalid", "bad_jti"},
		"expired":               {refresh(m{"exp": time.Now().Add(-time.Minute).Unix()}), "token_expired", "expired"},
		"nobody's":              {refresh(m{"user_id": world.Nobody}), "user_unknown", ""},
		"an inactive user's":    {refresh(m{"user_id": world.Inactive}), "user_inactive", ""},
		"of before a sign-out":  {refresh(m{"user_id": world.Revoked}), "token_revoked", ""},
		"of a family not known": {refresh(m{"jti": "b1", "family": "b0"}), "token_revoked", ""},
	} {
		if got := r.Refresh(t, c.token).Expect(t, 401, c.code); got.Cause != c.cause || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: cause %q, want %q", name, got.Cause, c.cause)
		}
		if got := r.Post(t, "/logout/", m{"refresh_token": c.token}); c.code == "token_invalid" && got.Code != c.code {
			t.Errorf("%s, to sign out: %d %s", name, got.Status, got.Code)
		}
	}
	if got := r.Post(t, "/token/refresh/", m{}).Expect(t, 400, "bad_field"); got.Field != "refresh_token" {
		t.Errorf("field %q", got.Field)
	}
	if got := r.Post(t, "/logout", m{"refresh_token": "x", "everywhere": "yes"}).Expect(t, 400, "bad_field"); got.Field != "everywhere" || !strings.Contains(got.Detail, "true or false") {
		t.Errorf("field %q: %s", got.Field, got.Detail)
	}
	for _, path := range []string{"/token/refresh", "/logout", "/api/ticket"} {
		if res, _ := r.Request(t, http.MethodGet, path, "", ""); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d, Allow %q", path, res.StatusCode, res.Header.Get("Allow"))
		}
	}
	// SimpleJWT's, never seen before. Another user's: the family not known has signed out everything of this one.
	r.Refresh(t, refresh(m{"jti": "c0", "user_id": world.Therapist})).Expect(t, 200, "")
}

func TestSignOutOfThisDevice(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	phone, tablet := r.Login(t, world.Customer, world.Password), r.Login(t, world.Customer, world.Password)
	s := r.Chat(t, world.Customer)
	phone = r.Refresh(t, phone.Refresh).Expect(t, 200, "")
	for range 2 { // the second time there is nothing left to end
		r.Post(t, "/logout/", m{"refresh_token": phone.Refresh}).Expect(t, 204, "")
	}
	r.Refresh(t, phone.Refresh).Expect(t, 401, "token_revoked")
	r.Post(t, "/logout/", m{"refresh_token": tablet.Refresh}).Expect(t, 204, "") // never used
	r.Refresh(t, tablet.Refresh).Expect(t, 401, "token_revoked")
	expired := world.Sign(t, m{"token_type": "refresh", "exp": time.Now().Add(-time.Minute).Unix()})
	r.Post(t, "/logout/", m{"refresh_token": expired}).Expect(t, 204, "")
	r.Post(t, "/logout/", m{"refresh_token": expired, "everywhere": true}).Expect(t, 401, "token_expired")
	s.ExpectNothing(t)
	for outcome, want := range map[string]float64{"done": 2, "already": 2} {
		if n := r.Metric(t, `roomspa_logouts_total{outcome="`+outcome+`",scope="this"}`); n != want {
			t.Errorf("%v signed out: %s, want %v", n, outcome, want)
		}
	}
}

func TestSignOutEverywhereClosesEverySocketAndANewSignInWorksAtOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	for range 3 { // in the same second, most likely
		tokens := a.Login(t, world.Customer, world.Password).Expect(t, 200, "")
		dialing := world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", tokens.Access}}
		here, there := a.Connect(t, dialing), b.Connect(t, dialing)
		dialing.Path = "/ws/location/1/2/"
		location := b.Connect(t, dialing)
		for _, s := range []*world.Socket{here, there, location} {
			s.Expect(t, "connected")
		}
		peer := b.Chat(t, world.Therapist)
		a.Post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).Expect(t, 204, "")
		for _, s := range []*world.Socket{here, there, location} {
			s.ExpectRefusal(t, 4001, "token_revoked")
		}
		peer.ExpectNothing(t)
		a.Refresh(t, tokens.Refresh).Expect(t, 401, "token_revoked")
		a.Post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).Expect(t, 204, "")
		b.Connect(t, dialing).ExpectRefusal(t, 4001, "token_revoked")
	}
	again := b.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	s := a.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {again.Access}}})
	s.Expect(t, "connected")
	refreshed := a.Refresh(t, again.Refresh).Expect(t, 200, "")
	s2 := b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {refreshed.Access}}})
	s2.Expect(t, "connected")
	s.ExpectNothing(t)
	if n := b.Metric(t, `roomspa_revoked_sockets_total{found_by="notice"}`); n != 6 {
		t.Errorf("%v sockets ended on the other replica by a notice, want 6", n)
	}
}

func TestATicketStandsForATokenOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	issue := func(user room.UserID) string {
		t.Helper()
		got := a.Post(t, "/api/ticket/", nil, w.Token(t, user)).Expect(t, 200, "")
		if got.Ticket == "" || got.ExpiresIn != 30 {
			t.Fatalf("%+v", got)
		}
		return got.Ticket
	}
	refused := func(word string, q url.Values) {
		t.Helper()
		if g := b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: q}).ExpectRefusal(t, 4001, "token_invalid"); !strings.HasPrefix(g.Detail, word) {
			t.Errorf("detail %q, want the word %q first", g.Detail, word)
		}
	}
	ticket := issue(world.Customer)
	s := b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}})
	s.Expect(t, "connected")
	refused("bad_ticket", url.Values{"ticket": {ticket}})
	refused("bad_ticket", url.Values{"ticket": {"MADEUPMADEUPMADEUPMADEUP00"}})
	refused("two_tokens", url.Values{"ticket": {issue(world.Customer), issue(world.Customer)}})
	refused("two_tokens", url.Values{"ticket": {issue(world.Customer)}, "token": {w.Token(t, world.Therapist)}})
	refused("malformed", url.Values{"ticket": {issue(world.Customer)}, "token": {"garbage"}})
	both := b.Connect(t, world.Handshake{Path: "/ws/location/1/2/", Query: url.Values{"ticket": {issue(world.Customer)}, "token": {w.Token(t, world.Customer)}}})
	both.Expect(t, "connected")
	b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {issue(world.OtherCustomer)}}}).ExpectRefusal(t, 4003, "not_your_room")
	a.Post(t, "/api/ticket/", nil).Expect(t, 401, "token_missing")
	a.Post(t, "/api/ticket", nil, w.Token(t, world.Inactive)).Expect(t, 401, "user_inactive")

	// It lives as long as the token that it was made of, and is signed out with it.
	short := a.Post(t, "/api/ticket/", nil, w.TokenFor(t, world.Customer, 10*time.Second)).Expect(t, 200, "")
	if short.ExpiresIn > 10 {
		t.Errorf("a ticket for %d s of a token for 10 s", short.ExpiresIn)
	}
	w.Exec(t, "UPDATE roomspa.users SET tokens_valid_after = now() + interval '2 s' WHERE id = $1", world.Customer)
	b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {short.Ticket}}}).ExpectRefusal(t, 4001, "token_revoked")

	// As after 60 of them: the bucket is empty in two minutes.
	full := strconv.FormatInt(time.Now().Add(2*time.Minute).UnixMicro(), 10)
	d, err := w.OpenPostgres(t).Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RedisClient(t).Set(t.Context(), redis.Name(w.RedisPrefix, d.ID, "throttle")+":ticket:2", full, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if limited := a.Post(t, "/api/ticket/", nil, w.Token(t, world.Therapist)).Expect(t, 429, "too_many_attempts"); limited.RetryAfter < 1 {
		t.Error("no Retry-After")
	}
	if log := a.Log.String() + b.Log.String(); strings.Contains(log, ticket) || strings.Contains(log, short.Ticket) || !strings.Contains(log, "[JWTAuthMiddleware] Ticket found: 26 bytes") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestWithoutRedisNobodySignsInAndNoTicketIsTaken(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	r := w.Ready(t, "a")
	tokens := r.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	ticket := r.Post(t, "/api/ticket/", nil, tokens.Access).Expect(t, 200, "").Ticket
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := r.Login(t, world.Customer, world.Password).Expect(t, 503, "channel_layer_unavailable"); got.RetryAfter < 1 {
			t.Error("no Retry-After")
		}
	}
	r.Post(t, "/api/ticket/", nil, tokens.Access).Expect(t, 503, "channel_layer_unavailable")
	g := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}}).ExpectRefusal(t, 1011, "channel_layer_unavailable")
	if !strings.Contains(g.Detail, "ticket") || strings.Contains(g.Detail, "refuses") {
		t.Errorf("detail %q", g.Detail)
	}
	r.Refresh(t, tokens.Refresh).Expect(t, 200, "") // a sign-in lives on
}

func TestLoginsAreCountedWithoutLockingAnybodyOut(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.TrustLoopback, func(o *app.Options) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1, 100, 100
	})
	from := func(address string) []string { return []string{"X-Forwarded-For", address} }
	attacker := from("203.0.113.7")
	a.Login(t, world.Nobody, "wrong", attacker...).Expect(t, 401, "bad_credentials") // the slowest: it works for nothing
	b.Login(t, world.Customer, "wrong", attacker...).Expect(t, 401, "bad_credentials")
	unknown := b.Login(t, world.Nobody, "wrong", attacker...).Expect(t, 429, "too_many_attempts")
	existing := a.Login(t, world.Customer, "wrong", attacker...).Expect(t, 429, "too_many_attempts")
	if existing.Detail != unknown.Detail || existing.RetryAfter < 1 || existing.RetryAfter > 60 || unknown.RetryAfter < 1 {
		t.Errorf("an account that exists: %s (%d s), one that does not: %s (%d s)", existing.Detail, existing.RetryAfter, unknown.Detail, unknown.RetryAfter)
	}
	a.Login(t, world.Customer, world.Password, attacker...).Expect(t, 429, "too_many_attempts") // the right one, too
	a.Login(t, world.Therapist, "wrong", attacker...).Expect(t, 401, "bad_credentials")         // another account
	for range 3 {
		b.Login(t, world.Customer, world.Password, from("198.51.100.1")...).Expect(t, 200, "") // right ones do not count
	}
	// A network of IPv6 is one address; upper case is no other account.
	a.Login(t, world.OtherTherapist, "wrong", from("2001:db8::1")...).Expect(t, 401, "bad_credentials")
	b.Login(t, world.OtherTherapist, "wrong", from("2001:db8::2")...).Expect(t, 429, "too_many_attempts")
	a.Post(t, "/login/", m{"identifier": "User4@Example.com", "password": "wrong"}, from("2001:db8::ffff:3")...).Expect(t, 429, "too_many_attempts")
	a.Login(t, world.OtherTherapist, "wrong", from("2001:db8:0:1::1")...).Expect(t, 401, "bad_credentials")

	if n := a.Metric(t, `roomspa_logins_throttled_total{limit="account_address"}`); n != 3 {
		t.Errorf("%v refused for the account and the address, want 3", n)
	}
	keys, err := w.RedisClient(t).Keys(t.Context(), w.RedisPrefix+"*throttle*").Result()
	if err != nil || len(keys) == 0 || strings.Contains(strings.Join(keys, " "), "user") || strings.Contains(strings.Join(keys, " "), "203.0") {
		t.Errorf("keys %v, %v: they are to name nobody", keys, err)
	}
}

func TestSignInAsPeopleType(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) { o.LoginPerAccountAddress = 1 })
	w.Exec(t, `UPDATE roomspa.users SET email = 'ömer@example.com', phone = '+49170902783' WHERE id = $1`, world.Customer)
	for _, identifier := range []string{"ÖMER@example.com", "O\u0308mer@EXAMPLE.com", "+49 170 902783", "(+49) 170-902783", "+49.170.902783"} {
		r.Post(t, "/login/", m{"identifier": identifier, "password": world.Password}).Expect(t, 200, "")
	}
	other := []string{"X-Forwarded-For", "203.0.113.8"}
	for i, identifier := range []string{"+49170902784", "+49 170 902784", "(+49) 170-902784"} { // one account for the throttle
		answer := r.Post(t, "/login/", m{"identifier": identifier, "password": "wrong"}, other...)
		if i == 0 {
			answer.Expect(t, 401, "bad_credentials")
		} else {
			answer.Expect(t, 429, "too_many_attempts")
		}
	}
}

func TestAnAddressHasALimitForAllAccounts(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.TrustLoopback, func(o *app.Options) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1, 1, 100
	})
	attacker := []string{"X-Forwarded-For", "203.0.113.7"}
	a.Login(t, world.Therapist, "wrong", attacker...).Expect(t, 401, "bad_credentials")
	b.Login(t, world.Support, world.Password, attacker...).Expect(t, 429, "too_many_attempts")
	b.Login(t, world.Support, world.Password, "X-Forwarded-For", "203.0.113.8").Expect(t, 200, "")
	if n := b.Metric(t, `roomspa_logins_throttled_total{limit="address"}`); n != 1 {
		t.Errorf("%v refused for the address, want 1", n)
	}
}

func TestTheAccountsOwnLimitIsTheLastResort(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1, 1, 2
	})
	for i := range 2 {
		r.Login(t, world.Customer, "wrong", "X-Forwarded-For", "203.0.113."+strconv.Itoa(i)).Expect(t, 401, "bad_credentials")
	}
	r.Login(t, world.Customer, world.Password, "X-Forwarded-For", "203.0.113.9").Expect(t, 429, "too_many_attempts")
	if n := r.Metric(t, `roomspa_logins_throttled_total{limit="account"}`); n != 1 {
		t.Errorf("%v refused for the account", n)
	}
}

func TestAReplicaLimitsSignInsWhenTheKeysOfRedisAreDeleted(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.TrustLoopback, func(o *app.Options) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 2, 100, 100
	})
	redis, attacker := w.RedisClient(t), []string{"X-Forwarded-For", "203.0.113.7"}
	login := func(r *world.Replica, password string, status int, code string) {
		t.Helper()
		r.Login(t, world.Customer, password, attacker...).Expect(t, status, code)
		keys, err := redis.Keys(t.Context(), w.RedisPrefix+"*throttle*").Result()
		if err == nil && len(keys) > 0 {
			err = redis.Del(t.Context(), keys...).Err()
		}
		if err != nil || status == 401 && len(keys) == 0 {
			t.Fatalf("keys %v: %v", keys, err)
		}
	}
	for range 3 {
		login(a, world.Password, 200, "") // right ones do not count
	}
	for range 2 {
		login(a, "wrong", 401, "bad_credentials")
	}
	login(a, world.Password, 429, "too_many_attempts")
	login(b, "wrong", 401, "bad_credentials") // the limit of another replica is its own
	if n := a.Metric(t, `roomspa_logins_throttled_total{limit="account_address"}`); n != 1 || !strings.Contains(a.Log.String(), "[Login] Refused: too_many_attempts account_address") {
		t.Errorf("%v refused:\n%s", n, a.Log.String())
	}
}

func TestTokensOfAKeySetOpenSockets(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	path, sign := world.KeySet(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.JWKS, o.JWKSAudience = path, "roomspa" })
	s := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {sign(world.Claims(m{"aud": "roomspa"}))}}})
	s.Expect(t, "connected")
	if g := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {sign(world.Claims(m{"aud": "shop"}))}}}).ExpectRefusal(t, 4001, "token_invalid"); !strings.HasPrefix(g.Detail, "wrong_audience") {
		t.Errorf("detail %q", g.Detail)
	}
	r.Refresh(t, sign(world.Claims(m{"token_type": "refresh", "aud": "roomspa"}))).Expect(t, 401, auth.TokenInvalid)
	if n := r.Metric(t, "roomspa_jwks_keys"); n != 1 {
		t.Errorf("%v keys", n)
	}
}

// TestClientsWhoseAddressIsUnknownShareNoLimit signs in through a proxy that writes no addresses.
func TestClientsWhoseAddressIsUnknownShareNoLimit(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", world.TrustLoopback, func(o *app.Options) { o.LoginPerAccountAddress, o.LoginPerAddress = 1, 2 })
	for i := range 5 {
		name := fmt.Sprintf("nobody%d@example.com", i%2)
		r.Post(t, "/login/", world.Object{"identifier": name, "password": "wrong"}, "X-Forwarded-For", "203.0.113.9, unknown").Expect(t, 401, "bad_credentials")
	}
	r.Login(t, world.Customer, world.Password, "X-Forwarded-For", "unknown").Expect(t, 200, "")
	for i := range 5 { // others have addresses
		r.Login(t, world.Customer, "wrong", "X-Forwarded-For", fmt.Sprintf("[2001:db8:%x::7]", i+1)).Expect(t, 401, "bad_credentials")
	}
	r.Login(t, world.Customer, world.Password, "X-Forwarded-For", "[2001:db8:ffff::1]").Expect(t, 200, "")
	if n := strings.Count(r.Log.String(), "X-Forwarded-For not readable"); n != 1 {
		t.Errorf("%d lines about the header", n)
	}
}
