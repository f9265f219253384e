package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

func loginServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		_ = json.NewDecoder(r.Body).Decode(&in)
		switch {
		case r.URL.Path == "/app/login/" && in["password"] == "right":
			_, _ = w.Write([]byte(`{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":300,"user":{"id":1,"email":"a@x","role":"customer"}}`))
		case r.URL.Path == "/django/login/":
			_, _ = w.Write([]byte(`{"message":"Signed in.","access_token":"d","refresh_token":"r","user":{"id":"7","name":"Di","email":null,"role":"therapist"}}`))
		case r.URL.Path == "/web/login/":
			_, _ = w.Write([]byte(`<html>`))
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"title":"Unauthorized","code":"bad_credentials","detail":"No such user, or a wrong password.","ref":"abc"}`))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestLogin(t *testing.T) {
	t.Parallel()
	base := loginServer(t)
	socket := strings.Replace(base, "http", "ws", 1) + "/app/ws/chat/1/2/?since=3"
	login := func(url, password string) (Tokens, error) {
		return Credentials{BaseURL: url, Identifier: "a@x", Password: password}.Login(t.Context())
	}
	got, err := login(socket, "right")
	if err != nil || got.AccessToken != "a" || got.User != (User{1, "a@x", "customer"}) || got.ExpiresIn != 300 || got.Received.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = login(base+"/django/", "right")
	if err != nil || got.AccessToken != "d" || got.User != (User{7, "", "therapist"}) {
		t.Errorf("the predecessor's answer: %+v, %v", got, err)
	}
	_, err = login(base+"/app/", "wrong")
	if r, ok := errors.AsType[*StatusError](err); !ok || r.Status != 401 || r.Problem.Code != "bad_credentials" || r.Ref != "abc" {
		t.Errorf("wrong password: %v", err)
	}
	if _, err = login(base+"/web", "right"); err == nil || !strings.Contains(err.Error(), "check that the URL is a roomspa server's") {
		t.Errorf("a web page: %v", err)
	}
}

func TestRenewingTokenSignsInOnlyWhenItMust(t *testing.T) {
	bubble(t, func(t *testing.T) {
		source := renewingToken(counting(300))
		want := func(refused, want string) {
			t.Helper()
			if got, err := source(t.Context(), refused); err != nil || got != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		want("", "token 1")
		want("", "token 1")
		want("token 1", "token 2")
		want("token 1", "token 2")
		<-time.After(269 * time.Second)
		want("", "token 2")
		<-time.After(2 * time.Second)
		want("", "token 3")
	})
}

func TestRenewingTokenSignsInOnceForAllWhoWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logins := 0
		source := renewingToken(func(context.Context) (Tokens, error) {
			logins++
			<-time.After(time.Second)
			return Tokens{AccessToken: "a", ExpiresIn: 300, Received: time.Now()}, nil
		})
		for range 20 {
			go func() { _, _ = source(t.Context(), "") }()
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if logins != 1 {
			t.Errorf("%d sign-ins, want 1", logins)
		}
	})
}

func TestUserOf(t *testing.T) {
	t.Parallel()
	for claims, want := range map[string]int64{`{"user_id":12}`: 12, `{"user_id":"12"}`: 12, `{}`: 0, `nonsense`: 0} {
		token := "h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
		if got := UserOf(token); got != want {
			t.Errorf("%s: %d, want %d", claims, got, want)
		}
	}
	if UserOf("not a token") != 0 {
		t.Error("a user in no token")
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, socket, base, endpoint string }{
		{"http://h:8000/ws/chat/1/2", "ws://h:8000/ws/chat/1/2", "http://h:8000", "chat"},
		{"wss://h/ws/location/1/2/?token=x#y", "wss://h/ws/location/1/2/?token=x", "https://h", "location"},
		{"https://h/app/ws/test/", "wss://h/app/ws/test/", "https://h/app", "test"},
		{"http://h/app/", "ws://h/app/", "http://h/app", "test"},
		{"h:8000/ws/test/", "error", "error", "test"},
		{"ws://", "error", "error", "test"},
		{"ws://u:p@h/", "error", "error", "test"},
		{"ws://h/%zz?token=secret", "error", "error", "test"},
	} {
		socket, base := "error", "error"
		if u, err := SocketURL(c.in); err == nil {
			socket = u.String()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds the token: %v", c.in, err)
		}
		if b, err := BaseURL(c.in); err == nil {
			base = b
		}
		if got := fmt.Sprint(socket, " ", base, " ", EndpointOf(c.in)); got != c.socket+" "+c.base+" "+c.endpoint {
			t.Errorf("%s: %s", c.in, got)
		}
	}
}

func TestEveryCloseIsExplained(t *testing.T) {
	t.Parallel()
	explain := func(code int, reason string) string {
		means, todo := explainClose(code, reason)
		return means + " " + todo
	}
	for _, r := range frame.Reasons {
		if got := explain(r.Code, r.Word); got != r.Means+" "+r.Client {
			t.Errorf("%d %s: %q", r.Code, r.Word, got)
		}
		if got := explain(r.Code, ""); strings.Contains(got, "not one of") || strings.Contains(got, "reserved") {
			t.Errorf("%d has no words of its own: %q", r.Code, got)
		}
	}
	for code, want := range map[int]string{1006: "without a Close frame", 1001: "leaves the page", 4321: "not one of roomspa's", 2000: "reserved"} {
		if got := explain(code, ""); !strings.Contains(got, want) {
			t.Errorf("%d: %q", code, got)
		}
	}
	if got := explain(4001, "something_new"); !strings.HasPrefix(got, "Not authenticated.") {
		t.Errorf("an unknown reason: %q", got)
	}
}

func TestFramesKeepWhatCanBeRead(t *testing.T) {
	t.Parallel()
	if f := parseFrame([]byte(`{"type":"ack","seq":"a text of a later version","client_message_id":"1"}`), false, time.Now()); f.Type != "ack" || f.ClientMessageID != "1" {
		t.Errorf("a field of another type hid the rest: %+v", f)
	}
	if f := parseFrame([]byte(`{"type":"ack"`), false, time.Now()); f.Type != "" || len(f.Raw) == 0 {
		t.Errorf("half a frame became %+v", f)
	}
	f := parseFrame([]byte(`{"type":"history","messages":[{"seq":1,"message":"a"}],"has_more":true}`), false, time.Now())
	if len(f.Messages) != 1 || f.Messages[0].Message != "a" || !f.HasMore {
		t.Errorf("history became %+v", f)
	}
}
