package world

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/roomspa/roomspa/internal/room"
)

// Answer is an answer of any endpoint of signing in, good or bad.
type Answer struct {
	Status     int
	Header     http.Header
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
	RetryAfter int    `json:"-"` // seconds
}

// Post sends an object as JSON to a path, nil as an empty body. Headers come in pairs of name and value; a single one
// before them is the token.
func (r *Replica) Post(t testing.TB, path string, body Object, headers ...string) Answer {
	t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	token := ""
	if len(headers)%2 == 1 {
		token, headers = headers[0], headers[1:]
	}
	res, got := r.Request(t, http.MethodPost, path, token, string(text), append(headers, "Content-Type", "application/json")...)
	a := Answer{Status: res.StatusCode, Header: res.Header}
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
	a.RetryAfter, _ = strconv.Atoi(res.Header.Get("Retry-After"))
	return a
}

// Login signs a user in.
func (r *Replica) Login(t testing.TB, user room.UserID, password string, headers ...string) Answer {
	t.Helper()
	return r.Post(t, "/login/", Object{"identifier": "user" + strconv.Itoa(int(user)) + "@example.com", "password": password}, headers...)
}

// Refresh exchanges a refresh token.
func (r *Replica) Refresh(t testing.TB, token string) Answer {
	t.Helper()
	return r.Post(t, "/token/refresh/", Object{"refresh_token": token})
}

// Expect requires a status and a code.
func (a Answer) Expect(t testing.TB, status int, code string) Answer {
	t.Helper()
	if a.Status != status || a.Code != code {
		t.Fatalf("got %d %q (%s %s), want %d %q", a.Status, a.Code, a.Cause, a.Detail, status, code)
	}
	return a
}
