package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A message is a message as the answers over HTTP and the frames show it.
type message struct {
	Type           string `json:"type"`
	ConversationID string `json:"conversation_id"`
	Seq            int64  `json:"seq"`
	SenderID       int64  `json:"sender_id"`
	Message        string `json:"message"`
}

// A page is any answer of /api/conversations/, good or bad.
type page struct {
	Conversations []struct {
		ID          string   `json:"id"`
		CustomerID  int64    `json:"customer_id"`
		TherapistID int64    `json:"therapist_id"`
		LastSeq     int64    `json:"last_seq"`
		LastMessage *message `json:"last_message"`
	} `json:"conversations"`
	Messages []message `json:"messages"`
	HasMore  bool      `json:"has_more"`
	Next     string    `json:"next"`
	Code     string    `json:"code"`
	Cause    string    `json:"cause"`
	Field    string    `json:"field"`
	Ref      string    `json:"ref"`
}

// read asks for something below /api/conversations.
func read(t testing.TB, r *world.Replica, token, path string) (*http.Response, page) {
	t.Helper()
	res, body := r.Request(t, http.MethodGet, "/api/conversations"+path, token, "")
	var got page
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, body)
	}
	return res, got
}

// storeMessages stores n messages in a room, of both sides in turn, and returns its conversation.
func storeMessages(t testing.TB, w *world.World, r room.Room, n int) room.ID {
	t.Helper()
	db := w.OpenPostgres(t)
	c, err := db.Conversation(t.Context(), r, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		d := room.Draft{Sender: r.Customer, SenderRole: room.Customer, Text: fmt.Sprintf("<%d>", i+1)}
		if i%2 == 1 {
			d.Sender, d.SenderRole = r.Therapist, room.Therapist
		}
		if _, _, err := db.Append(t.Context(), c.ID, d); err != nil {
			t.Fatal(err)
		}
	}
	return c.ID
}

func TestHistoryIsReadPageByPage(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	id := storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.Therapist}, 12)
	r := w.Ready(t, "a")
	for _, who := range []room.UserID{world.Customer, world.Therapist, world.Support} {
		path, before := "/"+id.String()+"/messages/?limit=5", int64(0)
		for _, first := range []int64{8, 3, 1} {
			at := path
			if before > 0 {
				at += "&before_seq=" + strconv.FormatInt(before, 10)
			}
			res, got := read(t, r, w.Token(t, who), at)
			if res.StatusCode != http.StatusOK || got.HasMore != (first > 1) {
				t.Fatalf("user %d, before %d: %d, %+v", who, before, res.StatusCode, got)
			}
			if cc := res.Header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control: %s", cc)
			}
			for i, m := range got.Messages {
				seq := first + int64(i)
				want := message{"chat_message", id.String(), seq, int64(2 - seq%2), fmt.Sprintf("<%d>", seq)}
				if diff := cmp.Diff(want, m); diff != "" {
					t.Error(diff)
				}
			}
			before = first
		}
	}
	if _, got := read(t, r, w.Token(t, world.Customer), "/"+id.String()+"/messages/?before_seq=1"); got.HasMore || got.Messages == nil || len(got.Messages) != 0 {
		t.Errorf("before the first: %+v", got)
	}
	for _, seqs := range []string{`from_seq=8 to_seq=12`, `from_seq=3 to_seq=7`, `from_seq=1 to_seq=2`} {
		line := fmt.Sprintf(`user=%d endpoint=api customer=%d therapist=%d %s`, world.Support, world.Customer, world.Therapist, seqs)
		if log := r.Log.String(); strings.Count(log, line) != 1 || !strings.Contains(log, `"[Audit] Support read history"`) {
			t.Errorf("the log has not one line: %s", line)
		}
	}
}

func TestConversationsAreOnesOwn(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	silent := storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.OtherTherapist}, 0)
	spoken := storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.Therapist}, 3)
	others := storeMessages(t, w, room.Room{Customer: world.OtherCustomer, Therapist: world.OtherTherapist}, 1)
	r := w.Ready(t, "a")
	list := func(token, query string) (ids []string) {
		t.Helper()
		res, got := read(t, r, token, query)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %+v", query, res.StatusCode, got)
		}
		for _, c := range got.Conversations {
			ids = append(ids, c.ID)
			if (c.LastMessage == nil) != (c.LastSeq == 0) || c.LastMessage != nil && c.LastMessage.Seq != c.LastSeq {
				t.Errorf("%+v", c)
			}
		}
		return ids
	}
	for _, tt := range []struct {
		who   room.UserID
		query string
		want  []string
	}{
		{world.Customer, "", []string{spoken.String(), silent.String()}},
		{world.Customer, "/?user_id=1", []string{spoken.String(), silent.String()}},
		{world.Therapist, "/", []string{spoken.String()}},
		{world.OtherTherapist, "/", []string{others.String(), silent.String()}},
		{world.Support, "/?user_id=3", []string{others.String()}},
		{world.Support, "/?user_id=99", nil},
	} {
		if diff := cmp.Diff(tt.want, list(w.Token(t, tt.who), tt.query)); diff != "" {
			t.Errorf("user %d %s: %s", tt.who, tt.query, diff)
		}
	}
	_, first := read(t, r, w.Token(t, world.Customer), "/?limit=1")
	if !first.HasMore || first.Next == "" {
		t.Fatalf("%+v", first)
	}
	if diff := cmp.Diff([]string{silent.String()}, list(w.Token(t, world.Customer), "/?limit=1&before="+first.Next)); diff != "" {
		t.Error(diff)
	}
	if line := fmt.Sprintf(`user=%d endpoint=api of_user=%d conversations=1`, world.Support, world.OtherCustomer); !strings.Contains(r.Log.String(), line) {
		t.Errorf("the log lacks: %s", line)
	}
}

func TestHistoryRefuses(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	id := storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.Therapist}, 1).String()
	r := w.Ready(t, "a")
	own := w.Token(t, world.Customer)
	messages := "/" + id + "/messages/"
	for _, tt := range []struct {
		name, token, path string
		status            int
		code, field       string
	}{
		{"no token", "", "/", 401, "token_missing", ""},
		{"a token of another key", own[:len(own)-4] + "AAAA", "/", 401, "token_invalid", ""},
		{"a deactivated user", w.Token(t, world.Inactive), "/", 401, "user_inactive", ""},
		{"a signed-out user", w.Token(t, world.Revoked), messages, 401, "token_revoked", ""},
		{"a user who is gone", w.Token(t, world.Nobody), messages, 401, "user_unknown", ""},
		{"another customer", w.Token(t, world.OtherCustomer), messages, 404, "no_such_conversation", ""},
		{"another therapist", w.Token(t, world.OtherTherapist), messages, 404, "no_such_conversation", ""},
		{"a conversation that is none", own, "/00000000-0000-4000-8000-000000000000/messages/", 404, "no_such_conversation", ""},
		{"an id that is none", own, "/7/messages/", 400, "bad_field", "conversation_id"},
		{"before_seq 0", own, messages + "?before_seq=0", 400, "bad_field", "before_seq"},
		{"before_seq with a sign", own, messages + "?before_seq=%2B1", 400, "bad_field", "before_seq"},
		{"an empty before_seq", own, messages + "?before_seq=", 400, "bad_field", "before_seq"},
		{"a page too large", own, messages + "?limit=201", 400, "bad_field", "limit"},
		{"a page of words", own, "/?limit=all", 400, "bad_field", "limit"},
		{"a place that is none", own, "/?before=x", 400, "bad_field", "before"},
		{"a place far from every time", own, "/?before=f_____________________________AA", 400, "bad_field", "before"},
		{"a query that is none", own, "/?limit=%zz", 400, "bad_query", ""},
		{"somebody else's list", own, "/?user_id=3", 403, "wrong_role", ""},
		{"support without a user", w.Token(t, world.Support), "/", 400, "bad_field", "user_id"},
		{"support with a user that is none", w.Token(t, world.Support), "/?user_id=01", 400, "bad_field", "user_id"},
		{"a conversation alone", own, "/" + id + "/", 404, "no_such_path", ""},
		{"a double slash", own, "//", 404, "no_such_path", ""},
		{"a double slash within", own, "/" + id + "//messages/", 404, "no_such_path", ""},
		{"something below", own, messages + "1/", 404, "no_such_path", ""},
	} {
		res, got := read(t, r, tt.token, tt.path)
		if res.StatusCode != tt.status || got.Code != tt.code || got.Field != tt.field {
			t.Errorf("%s: %d, %+v", tt.name, res.StatusCode, got)
		}
		if res.Header.Get("Content-Type") != "application/problem+json" || got.Ref == "" || res.Header.Get("Roomspa-Ref") != got.Ref {
			t.Errorf("%s: %v, %+v", tt.name, res.Header, got)
		}
		if challenge := res.Header.Get("WWW-Authenticate"); (challenge != "") != (tt.status == 401) ||
			strings.Contains(challenge, "invalid_token") != (tt.status == 401 && tt.code != "token_missing") {
			t.Errorf("%s: WWW-Authenticate: %s", tt.name, challenge)
		}
		if !strings.Contains(r.Log.About(got.Ref), "[History] Refused: ") {
			t.Errorf("%s: the log has %q", tt.name, r.Log.About(got.Ref))
		}
	}
	res, _ := r.Request(t, http.MethodPost, "/api/conversations/", own, "")
	if res.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(res.Header.Get("Allow"), "GET") {
		t.Errorf("POST: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	if res, body := r.Request(t, http.MethodHead, "/api/conversations"+strings.TrimSuffix(messages, "/"), own, ""); res.StatusCode != http.StatusOK || len(body) != 0 {
		t.Errorf("HEAD: %d, %s", res.StatusCode, body)
	}
}

func TestHistorySaysThatPostgresIsAway(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Start(t, "a", func(o *app.Options) { o.DatabaseURL = "postgres://nobody@127.0.0.1:1/none" })
	for _, path := range []string{"/", "/00000000-0000-4000-8000-000000000000/messages/"} {
		res, got := read(t, r, w.Token(t, world.Customer), path)
		if res.StatusCode != http.StatusServiceUnavailable || got.Code != "database_unavailable" || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, %+v", path, res.StatusCode, got)
		}
	}
	refresh, _, err := w.Keys.Mint(auth.Refresh, world.Customer, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.Request(t, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`, "Content-Type", "application/json")
	log := r.Log.String()
	for component, lines := range map[string]int{"History": 2, "Tokens": 1} {
		line := regexp.MustCompile(`level=ERROR msg="\[` + component + `\] Refused: database_unavailable.* cause=postgres_refused\n`)
		if n := len(line.FindAllString(log, -1)); n != lines {
			t.Errorf("%d lines of %s say why, want %d:\n%s", n, component, lines, log)
		}
	}
}

func TestOriginsMayCallOrNot(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.Origins = []string{"https://app.example.com"} })
	own := w.Token(t, world.Customer)
	for _, path := range []string{"/login/", "/api/conversations", "/token/refresh/"} {
		for origin, allowed := range map[string]bool{
			"https://app.example.com": true, "http://" + r.Addr(): true, "https://app.example.com.evil.example": false,
			"http://app.example.com": false, "null": false,
		} {
			res, body := r.Request(t, http.MethodOptions, path, "", "", "Origin", origin,
				"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization,sentry-trace,baggage, traceparent,bad header")
			h := res.Header
			if allowed && (res.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != origin ||
				h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, sentry-trace, baggage, traceparent" || h.Get("Access-Control-Allow-Methods") == "") {
				t.Errorf("%s from %s: %d, %v", path, origin, res.StatusCode, h)
			}
			if !allowed && (res.StatusCode != http.StatusForbidden || h.Get("Access-Control-Allow-Origin") != "" || !strings.Contains(string(body), "--origins")) {
				t.Errorf("%s from %s: %d, %v, %s", path, origin, res.StatusCode, h, body)
			}
			if !allowed {
				if status, _, story := world.Get(t, r.Ops("/debug/stories/"+h.Get("Roomspa-Ref"))); status != http.StatusOK || !strings.Contains(string(story), "add the origin to --origins") {
					t.Errorf("%s from %s has no story: %d %s", path, origin, status, story)
				}
			}
			if h.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %s: %v", path, origin, h)
			}
			res, _ = r.Request(t, http.MethodGet, "/api/conversations/", own, "", "Origin", origin)
			if (res.Header.Get("Access-Control-Allow-Origin") == origin) != allowed || res.StatusCode != http.StatusOK {
				t.Errorf("GET from %s: %d, %v", origin, res.StatusCode, res.Header)
			}
		}
	}
	if res, _ := r.Request(t, http.MethodOptions, "/login/", "", ""); res.StatusCode != http.StatusNoContent || res.Header.Get("Allow") == "" {
		t.Errorf("OPTIONS of no page: %d, %v", res.StatusCode, res.Header)
	}
}
