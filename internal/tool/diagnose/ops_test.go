package diagnose_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// handshakes is what a replica that is well refuses, and what it is too busy for.
func handshakes() []broken {
	path := func(path string) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.URL = "ws://" + well.Addr() + path
			return o
		}
	}
	with := func(token func(*testing.T) string) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.Token = token(t)
			return o
		}
	}
	as := func(user room.UserID, path string) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.URL, o.Token = "ws://"+well.Addr()+path, token(t, user)
			return o
		}
	}
	limited := func(edit func(*app.Options)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, world.New(t).Ready(t, "limited", edit).Addr())
		}
	}
	now := time.Now()
	return []broken{
		{"no customer in the path", "missing_customer_id", "4000", path("/ws/chat/")},
		{"no therapist in the path", "missing_therapist_id", "4000", path("/ws/chat/1/")},
		{"an id that is none", "bad_id", "4000", path("/ws/chat/1/undefined/")},
		{"a since that is none", "bad_since", "4000", path("/ws/chat/1/2/?since=x")},
		{"no token", "token_missing", "4001", with(func(*testing.T) string { return "" })},
		{"a proxy drops the token", "subprotocol_dropped", "4001", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, reverse(t, always(well.Addr()), func(r *httputil.ProxyRequest) { r.Out.Header.Del("Sec-Websocket-Protocol") }))
		}},
		{"a token of another secret", "bad_signature", "", with(func(t *testing.T) string {
			return mint(t, "another secret that has 32 bytes or more", auth.Access, world.Customer, now, time.Hour)
		})},
		{"a token that names another key", "unknown_key", "", with(func(*testing.T) string {
			return byHand(`{"alg":"HS256","kid":"another"}`, claims(now), "another secret that has 32 bytes or more")
		})},
		{"a token of another algorithm", "wrong_algorithm", "", with(func(t *testing.T) string { return signed(t, jwt.SigningMethodHS512) })},
		{"a token that is not signed", "wrong_algorithm", "", with(func(*testing.T) string { return byHand(`{"alg":"none"}`, claims(now), "") })},
		{"a refresh token", "wrong_type", "", with(func(t *testing.T) string { return mint(t, world.Secret, auth.Refresh, world.Customer, now, time.Hour) })},
		{"something that is no token", "malformed", "", with(func(*testing.T) string { return "undefined" })},
		{"a token without an end", "missing_exp", "", with(func(*testing.T) string {
			return byHand(`{"alg":"HS256"}`, `{"token_type":"access","user_id":1}`, world.Secret)
		})},
		{"a token of milliseconds", "bad_exp", "", with(func(*testing.T) string {
			return byHand(`{"alg":"HS256"}`, fmt.Sprintf(`{"token_type":"access","user_id":1,"exp":%d}`, now.Add(time.Hour).UnixMilli()), world.Secret)
		})},
		{"a token from the future", "not_yet_valid", "", with(func(t *testing.T) string {
			return mint(t, world.Secret, auth.Access, world.Customer, now.Add(time.Hour), time.Hour)
		})},
		{"a token that has expired", "token_expired", "expired", with(func(t *testing.T) string {
			return mint(t, world.Secret, auth.Access, world.Customer, now.Add(-2*time.Hour), time.Hour)
		})},
		{"a token of a user who signed out", "token_revoked", "4001", as(world.Revoked, "/ws/chat/7/2/")},
		{"a token of a user who is not there", "user_unknown", "4001", as(world.Nobody, "/ws/chat/99/2/")},
		{"a token of a user who was deactivated", "user_inactive", "4001", as(world.Inactive, "/ws/chat/5/2/")},
		{"somebody else's room", "not_your_room", "4003", as(world.Customer, "/ws/chat/3/2/")},
		{"two of one side", "wrong_role", "user 1 is a customer and user 3 is a customer", func(_ *testing.T, well *world.Replica) diagnose.Options {
			return diagnose.Options{
				Timeout: world.Limit, Limit: world.Limit, URL: "http://" + well.Addr(), Identifier: "user1@example.com", Password: world.Password,
				PeerIdentifier: "user3@example.com", PeerPassword: world.Password,
			}
		}},
		{"the wrong side of the room", "wrong_role", "4003", as(world.Customer, "/ws/chat/3/1/")},
		{"a customer who does not exist", "no_such_customer", "4003", as(2, "/ws/chat/99/2/")},
		{"a therapist who does not exist", "no_such_therapist", "4003", as(world.Customer, "/ws/location/1/99/")},
		{"a wrong password of the user's", "bad_credentials", "401", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.Token, o.Identifier, o.Password = "", "user1@example.com", "a wrong one"
			return o
		}},
		{"too many wrong passwords", "too_many_attempts", "429", func(t *testing.T, _ *world.Replica) diagnose.Options {
			a := world.New(t).Ready(t, "a", func(o *app.Options) { o.LoginPerAccountAddress = 1 })
			_, _ = client.Credentials{BaseURL: "http://" + a.Addr(), Identifier: "user1@example.com", Password: "a wrong one"}.Login(t.Context())
			o := chat(t, a.Addr())
			o.Token, o.Identifier, o.Password = "", "user1@example.com", world.Password
			return o
		}},
		{"the limit of frames is low", "rate_limited", "", limited(func(o *app.Options) { o.MessageRate, o.MessageBurst = 0.1, 1 })},
		{"the limit of messages is low", "too_large", "1009", limited(func(o *app.Options) { o.MaxMessageBytes = 1024 })},
		{"the replica is full", "busy", "1013", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, full(t, func(o *app.Options) { o.SoftLimit, o.HardLimit = 1, 100 }).Addr())
		}},
		{"the replica is full to the brim", "busy", "1013", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, full(t, func(o *app.Options) { o.SoftLimit, o.HardLimit = 1, 1 }).Addr())
		}},
		{"the replica drains", "draining", "503", func(t *testing.T, _ *world.Replica) diagnose.Options {
			a := world.New(t).Ready(t, "a", func(o *app.Options) { o.ShutdownWait = time.Minute })
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				_ = a.Stop(ctx)
			}()
			t.Cleanup(func() {
				cancel()
				<-stopped
			})
			a.WaitNotReady(t)
			o := chat(t, a.Addr())
			o.Ops = []string{a.Ops("")}
			return o
		}},
	}
}

// full is a replica that holds one socket.
func full(t testing.TB, edit func(*app.Options)) *world.Replica {
	t.Helper()
	a := world.New(t).Ready(t, "full", edit)
	c, err := client.Dial(t.Context(), client.Options{URL: "ws://" + a.Addr() + "/ws/test/"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseNow)
	return a
}

func claims(now time.Time) string {
	return fmt.Sprintf(`{"token_type":"access","user_id":1,"exp":%d}`, now.Add(time.Hour).Unix())
}

func signed(t testing.TB, method jwt.SigningMethod) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, jwt.MapClaims{"token_type": "access", "user_id": 1, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(world.Secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// byHand makes a token that no library would; without a secret it has no signature.
func byHand(header, claims, secret string) string {
	e := base64.RawURLEncoding
	text := e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(claims))
	if secret == "" {
		return text + "."
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + e.EncodeToString(mac.Sum(nil))
}

// withURL changes a URL.
func withURL(t testing.TB, raw string, edit func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	edit(u)
	return u.String()
}

// looking is a diagnosis that may look inside.
func looking(t testing.TB, address string, all ...*world.Replica) diagnose.Options {
	t.Helper()
	o := chat(t, address)
	for _, a := range all {
		o.Ops = append(o.Ops, a.Ops(""))
	}
	return o
}

// replicas is what only shows between two of them, behind one address.
func replicas() []broken {
	two := func(change func(t *testing.T, second *world.World)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			first := world.New(t)
			second := *first
			change(t, &second)
			a, b := first.Ready(t, "a"), second.Ready(t, "b")
			return chat(t, reverse(t, roundRobin(a.Addr(), b.Addr()), nil))
		}
	}
	// A client that comes to one of them sees nothing; they themselves do, after a while.
	inside := func(word string, change func(t *testing.T, second *world.World)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			first := world.New(t)
			second := *first
			change(t, &second)
			a, b := first.Ready(t, "a"), second.Ready(t, "b")
			world.Eventually(t, "the first one warns of "+word, func() (bool, any) {
				_, _, body := world.Get(t, a.Ops("/readyz"))
				return strings.Contains(string(body), word), string(body)
			})
			return looking(t, a.Addr(), a, b)
		}
	}
	return []broken{
		{"two prefixes, seen from the inside alone", "split_channel_layer", "replicas share Postgres, but their heartbeats do not arrive over Redis: b", inside("split_channel_layer", func(_ *testing.T, w *world.World) { w.RedisPrefix += "other:" })},
		{"two secrets, seen from the inside alone", "different_secrets", "replicas refuse each other's tokens: b", inside("different_secrets", func(t *testing.T, w *world.World) { w.SetSecret(t, strings.ToUpper(w.Secret)) })},
		{"two replicas on two Redis servers", "split_channel_layer", "replica b", two(func(t *testing.T, w *world.World) { w.RedisURL = world.StartRedis(t).URL() })},
		{"two replicas with two prefixes", "split_channel_layer", "replica b", two(func(_ *testing.T, w *world.World) { w.RedisPrefix += "other:" })},
		{"two replicas with two databases", "split_database", "is not in its history", func(t *testing.T, _ *world.Replica) diagnose.Options {
			first, other := world.New(t), world.New(t)
			second := *first
			second.DatabaseURL = other.DatabaseURL
			a, b := first.Ready(t, "a"), second.Ready(t, "b")
			o := chat(t, reverse(t, roundRobin(a.Addr(), b.Addr()), nil))
			o.Send = true
			return o
		}},
		{"two replicas with two secrets", "different_secrets", "bad_signature", two(func(t *testing.T, w *world.World) { w.SetSecret(t, strings.ToUpper(w.Secret)) })},
		{"the name of an ops listener is wrong", "ops_unreachable", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.Ops = []string{"http://" + closedPort(t)}
			return o
		}},
	}
}
