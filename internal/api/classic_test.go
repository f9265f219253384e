package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// predecessors fills a database with conversations as they are after an adoption. User 4 has no
// address.
func predecessors(ctx context.Context, databaseURL string) error {
	if err := world.Populate(ctx, databaseURL); err != nil {
		return err
	}
	return world.Execute(ctx, databaseURL, `
		ALTER TABLE roomspa.users RENAME TO others;
		CREATE VIEW roomspa.users AS SELECT id, CASE id WHEN 4 THEN '' ELSE email END AS email, phone, role, is_active, password, tokens_valid_after, created_at,
			'User ' || id AS name FROM roomspa.others;
		INSERT INTO roomspa.conversations (id, number, customer_id, therapist_id, created_at) VALUES
			('00000000-0000-4000-8000-000000000001', 7, 1, 2, '2026-01-12 10:00:00.000001Z'),
			('00000000-0000-4000-8000-000000000002', 8, 1, 4, '2026-01-11 10:00:00Z'),
			('00000000-0000-4000-8000-000000000003', 9, 3, 2, '2026-01-10 10:00:00Z');
		INSERT INTO roomspa.messages (conversation_id, seq, id, number, sender_id, sender_role, body, created_at, message_type, metadata, read_at)
		SELECT '00000000-0000-4000-8000-000000000001', m.seq, gen_random_uuid(), 69 + m.seq, m.sender, m.role, m.body,
			'2026-01-12 10:00:00.000100Z'::timestamptz + m.seq * interval '1 minute', m.type, m.metadata::json, m.read_at::timestamptz
		FROM (VALUES
			(1, 1, 'customer', 'Hello <b>', NULL, NULL, '2026-01-12 11:00:00.5Z'),
			(2, 2, 'therapist', 'ü 你 👋', 'file', '{"url": "x", "size": 1}', NULL),
			(3, 6, 'support', 'Please rate', NULL, NULL, NULL),
			(4, 1, 'customer', 'Two', NULL, NULL, NULL)
		) m (seq, sender, role, body, type, metadata, read_at);
		INSERT INTO roomspa.cursors VALUES ('00000000-0000-4000-8000-000000000001', 1, 2, 2, '2026-01-13 10:00:00.000002Z')`)
}

func classicReplica(t *testing.T) (*world.World, *world.Replica) {
	t.Helper()
	w := world.NewWith(t, predecessors)
	return w, w.Ready(t, "a", func(o *app.Options) { o.ClassicClients = true })
}

// ask sends a request and returns the status and the answer.
func ask(t *testing.T, r *world.Replica, user room.UserID, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	token := ""
	if user != 0 {
		token = r.World.Token(t, user)
	}
	res, answer := r.Request(t, method, path, token, body, headers...)
	if kind := res.Header.Get("Content-Type"); kind != "application/json" || res.Header.Get("Roomspa-Ref") == "" {
		t.Errorf("%s %s is answered as %q, ref %q", method, path, kind, res.Header.Get("Roomspa-Ref"))
	}
	return res.StatusCode, strings.TrimSuffix(string(answer), "\n")
}

const (
	user1, user2 = `{"id":1,"name":"User 1","email":"user1@example.com"}`, `{"id":2,"name":"User 2","email":"user2@example.com"}`
	user4, user6 = `{"id":4,"name":"User 4","email":null}`, `{"id":6,"name":"User 6","email":"user6@example.com"}`

	first  = `{"id":70,"sender":1,"sender_details":` + user1 + `,"receiver":2,"content":"Hello <b>","is_read":true,"created_at":"2026-01-12T10:01:00.000100Z","read_at":"2026-01-12T11:00:00.500000Z","message_type":"text","metadata":null}`
	second = `{"id":71,"sender":2,"sender_details":` + user2 + `,"receiver":1,"content":"ü 你 👋","is_read":true,"created_at":"2026-01-12T10:02:00.000100Z","read_at":"2026-01-13T10:00:00.000002Z","message_type":"file","metadata":{"url":"x","size":1}}`
	third  = `{"id":72,"sender":6,"sender_details":` + user6 + `,"receiver":1,"content":"Please rate","is_read":false,"created_at":"2026-01-12T10:03:00.000100Z","read_at":null,"message_type":"text","metadata":null}`
	fourth = `{"id":73,"sender":1,"sender_details":` + user1 + `,"receiver":2,"content":"Two","is_read":false,"created_at":"2026-01-12T10:04:00.000100Z","read_at":null,"message_type":"text","metadata":null}`
)

func TestClassicConversationsHaveTheFormOfThePredecessor(t *testing.T) {
	t.Parallel()
	_, r := classicReplica(t)
	conversation := func(number int, other, details, participants, last, content string, unread int, updated, created string) string {
		return fmt.Sprintf(`{"id":%d,"participants":%s,"participants_details":[%s],"last_message":%s,"last_message_content":%s,"unread_count":%d,"updated_at":"%s","created_at":"%s","is_active":true,"title":null,"other_participant":%s}`,
			number, participants, details, last, content, unread, updated, created, other)
	}
	const updated, created = "2026-01-12T10:04:00.000100Z", "2026-01-12T10:00:00.000001Z"
	for user, want := range map[room.UserID]string{
		1: `[` + conversation(7, user2, user1+`,`+user2, "[1,2]", "73", fourth, 1, updated, created) + `,` +
			conversation(8, user4, user1+`,`+user4, "[1,4]", "null", "null", 0, "2026-01-11T10:00:00.000000Z", "2026-01-11T10:00:00.000000Z") + `]`,
		6: `[]`, // support takes part in none
	} {
		status, got := ask(t, r, user, "GET", "/chat/conversations/", "")
		if diff := cmp.Diff(want, got); status != 200 || diff != "" {
			t.Errorf("user %d: %d\n%s", user, status, diff)
		}
	}
	// A message of support is not for the therapist, and one that was marked as read is not unread.
	var list []struct {
		ID     int `json:"id"`
		Unread int `json:"unread_count"`
	}
	_, got := ask(t, r, 2, "GET", "/chat/conversations", "")
	if err := json.Unmarshal([]byte(got), &list); err != nil || len(list) != 2 || list[0].ID != 7 || list[0].Unread != 1 || list[1].ID != 9 {
		t.Errorf("user 2: %s", got)
	}
}

func TestClassicMessagesArePagesFromTheOldestOn(t *testing.T) {
	t.Parallel()
	_, r := classicReplica(t)
	page := func(next, previous, results string) string {
		quote := func(query string) string {
			if query == "" {
				return "null"
			}
			return `"http://` + r.Addr() + `/chat/messages/?conversation_id=7` + query + `"`
		}
		return `{"count":4,"next":` + quote(next) + `,"previous":` + quote(previous) + `,"results":[` + results + `]}`
	}
	all := first + "," + second + "," + third + "," + fourth
	for query, want := range map[string]string{
		"":                                 page("", "", all),
		"&page_size=1000":                  page("", "", all),
		"&page_size=0":                     page("", "", all),
		"&page_size=x":                     page("", "", all),
		"&page=1&page_size=3":              page("&page=2&page_size=3", "", first+","+second+","+third),
		"&page_size=3&page=2":              page("", "&page_size=3", fourth),
		"&page_size=1&page=2":              page("&page=3&page_size=1", "&page_size=1", second),
		"&page_size=1&page=3&token=secret": "", // the token is refused: there are two
		"&page_size=2&page=last":           page("", "&page_size=2", third+","+fourth),
	} {
		status, got := ask(t, r, 1, "GET", "/chat/messages/?conversation_id=7"+query, "")
		if want == "" {
			if status != 401 {
				t.Errorf("%s: %d %s", query, status, got)
			}
			continue
		}
		if diff := cmp.Diff(want, got); status != 200 || diff != "" {
			t.Errorf("%s: %d\n%s", query, status, diff)
		}
	}
	if status, got := ask(t, r, 1, "GET", "/chat/messages/?conversation_id=8", ""); status != 200 || got != `{"count":0,"next":null,"previous":null,"results":[]}` {
		t.Errorf("an empty conversation: %d %s", status, got)
	}
	token := r.World.Token(t, 1)
	_, got := ask(t, r, 0, "GET", "/chat/messages/?conversation_id=7&page_size=2&token="+token, "", "X-Forwarded-Proto", "https")
	if strings.Contains(got, token) || !strings.Contains(got, `"next":"https://`) {
		t.Errorf("a token in the query, and TLS in front: %s", got)
	}
}

func TestClassicRefusals(t *testing.T) {
	t.Parallel()
	_, r := classicReplica(t)
	const missing, unknown, foreign = `{"message":"conversation_id is missing."}`, `{"message":"There is no such conversation."}`, `{"message":"You do not take part in this conversation."}`
	const unreadable, badPage = `{"message":"conversation_id is not a number."}`, `{"detail":"Invalid page."}`
	read := "/chat/conversations/read/"
	for name, c := range map[string]struct {
		user               room.UserID
		method, path, body string
		status             int
		want               string
	}{
		"no token":               {0, "GET", "/chat/conversations/", "", 401, `{"detail":"Authentication credentials were not provided."}`},
		"no token, wrong method": {0, "PUT", read, "", 401, `{"detail":"Authentication credentials were not provided."}`},
		"an inactive user":       {world.Inactive, "GET", "/chat/conversations/", "", 401, `{"detail":"User is inactive","code":"user_inactive"}`},
		"nobody":                 {world.Nobody, "GET", "/chat/conversations/", "", 401, `{"detail":"User not found","code":"user_not_found"}`},
		"signed out":             {world.Revoked, "POST", read, "", 401, `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is invalid or expired"}]}`},
		"a wrong method":         {1, "POST", "/chat/conversations/", "", 405, `{"detail":"Method \"POST\" not allowed."}`},
		"another wrong method":   {1, "GET", read, "", 405, `{"detail":"Method \"GET\" not allowed."}`},
		"no conversation":        {1, "GET", "/chat/messages/", "", 400, missing},
		"a blank conversation":   {1, "GET", "/chat/messages/?conversation_id=%20", "", 400, missing},
		"no number":              {1, "GET", "/chat/messages/?conversation_id=x", "", 400, unreadable},
		"a fraction":             {1, "GET", "/chat/messages/?conversation_id=7.0", "", 400, unreadable},
		"an unknown number":      {1, "GET", "/chat/messages/?conversation_id=12345", "", 404, unknown},
		"zero":                   {1, "GET", "/chat/messages/?conversation_id=0", "", 404, unknown},
		"a huge number":          {1, "GET", "/chat/messages/?conversation_id=" + strings.Repeat("9", 40), "", 404, unknown},
		"somebody else's":        {1, "GET", "/chat/messages/?conversation_id=9", "", 403, foreign},
		"support":                {6, "GET", "/chat/messages/?conversation_id=7", "", 403, foreign},
		"a page beyond the end":  {1, "GET", "/chat/messages/?conversation_id=7&page=9999", "", 404, badPage},
		"page 0":                 {1, "GET", "/chat/messages/?conversation_id=7&page=0", "", 404, badPage},
		"no page":                {1, "GET", "/chat/messages/?conversation_id=7&page=", "", 404, badPage},
		"read: nothing":          {1, "POST", read, `{}`, 400, missing},
		"read: null":             {1, "POST", read, `{"conversation_id":null}`, 400, missing},
		"read: zero":             {1, "POST", read, `{"conversation_id":0}`, 400, missing},
		"read: false":            {1, "POST", read, `{"conversation_id":false}`, 400, missing},
		"read: blank":            {1, "POST", read, `{"conversation_id":""}`, 400, missing},
		"read: no number":        {1, "POST", read, `{"conversation_id":"x"}`, 400, unreadable},
		"read: a list":           {1, "POST", read, `{"conversation_id":[7]}`, 400, unreadable},
		"read: a fraction":       {1, "POST", read, `{"conversation_id":7.5}`, 400, unreadable},
		"read: a huge number":    {1, "POST", read, `{"conversation_id":1e300}`, 400, unreadable},
		"read: unknown":          {1, "POST", read, `{"conversation_id":12345}`, 404, unknown},
		"read: somebody else's":  {2, "POST", read, `{"conversation_id":"8"}`, 403, foreign},
		"read: support":          {6, "POST", read, `{"conversation_id":7}`, 403, foreign},
		"read: no JSON":          {1, "POST", read, `{"conversation_id"`, 400, `{"detail":"JSON parse error: the body must be a JSON object."}`},
		"read: no object":        {1, "POST", read, `[7]`, 400, `{"detail":"JSON parse error: the body must be a JSON object."}`},
		"read: two objects":      {1, "POST", read, `{}{}`, 400, `{"detail":"JSON parse error: the body must be a JSON object."}`},
		"read: too large":        {1, "POST", read, `{"x":"` + strings.Repeat("x", 5000) + `"}`, 413, `{"detail":"The body has more than 4096 bytes."}`},
	} {
		if status, got := ask(t, r, c.user, c.method, c.path, c.body, "Content-Type", "application/json"); status != c.status || got != c.want {
			t.Errorf("%s: %d %s, want %d %s", name, status, got, c.status, c.want)
		}
	}
	if status, got := ask(t, r, 1, "POST", read, "7", "Content-Type", "text/plain"); status != 415 || got != `{"detail":"Unsupported media type \"text/plain\" in request."}` {
		t.Errorf("text: %d %s", status, got)
	}
	res, _ := r.Request(t, "GET", "/chat/conversations/", "x", "", "Origin", "https://elsewhere.example")
	if res.StatusCode != 401 || res.Header.Get("Access-Control-Allow-Origin") == "" || res.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a page of another origin, with a bad token: %d %v", res.StatusCode, res.Header)
	}
	res, body := r.Request(t, "GET", "/chat/other/", r.World.Token(t, 1), "")
	world.ExpectProblem(t, res, body, http.StatusNotFound)
	plain := world.New(t).Ready(t, "b")
	res, body = plain.Request(t, "GET", "/chat/conversations/", plain.World.Token(t, 1), "")
	world.ExpectProblem(t, res, body, http.StatusNotFound) // without --classic-clients
}

func TestClassicReadMarksAllMessagesOfTheCaller(t *testing.T) {
	t.Parallel()
	w, r := classicReplica(t)
	unread := func(user room.UserID) (n int) {
		var list []struct {
			Unread int `json:"unread_count"`
		}
		_, got := ask(t, r, user, "GET", "/chat/conversations/", "")
		if err := json.Unmarshal([]byte(got), &list); err != nil || len(list) == 0 {
			t.Fatalf("user %d: %s", user, got)
		}
		return list[0].Unread
	}
	const read = "/chat/conversations/read/"
	form := "Content-Type"
	for _, c := range []struct {
		user           room.UserID
		body, kind     string
		want           string
		before, remain int
	}{
		{1, `{"conversation_id":7}`, "application/json", `{"message":"1 messages marked as read"}`, 1, 0},
		{1, `{"conversation_id":"7"}`, "application/json; charset=utf-8", `{"message":"0 messages marked as read"}`, 0, 0},
		{2, "conversation_id=7&x=y", "application/x-www-form-urlencoded", `{"message":"1 messages marked as read"}`, 1, 0},
		{2, "--b\r\nContent-Disposition: form-data; name=\"conversation_id\"\r\n\r\n7\r\n--b--\r\n", "multipart/form-data; boundary=b", `{"message":"0 messages marked as read"}`, 0, 0},
	} {
		if n := unread(c.user); n != c.before {
			t.Errorf("%d unread messages of user %d, want %d", n, c.user, c.before)
		}
		if status, got := ask(t, r, c.user, "POST", read, c.body, form, c.kind); status != 200 || got != c.want {
			t.Errorf("%s: %d %s", c.body, status, got)
		}
		if n := unread(c.user); n != c.remain {
			t.Errorf("%d unread messages of user %d afterwards", n, c.user)
		}
	}
	_, got := ask(t, r, 1, "GET", "/chat/messages/?conversation_id=7", "")
	at := world.Query[string](t, w, `SELECT to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM roomspa.cursors WHERE user_id = 2`)
	if want := strings.Replace(fourth, `"is_read":false`, `"is_read":true`, 1); !strings.Contains(got, first) || !strings.Contains(got, strings.Replace(want, `"read_at":null`, `"read_at":"`+at+`"`, 1)) {
		t.Errorf("the messages are %s", got)
	}
}

func TestClassicPagesOfLongMessagesAreWhole(t *testing.T) {
	t.Parallel()
	w, r := classicReplica(t)
	w.Exec(t, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
		SELECT '00000000-0000-4000-8000-000000000003', n, gen_random_uuid(), 3, 'customer', n || repeat('x', 60000), '2026-01-01'::timestamptz + n * interval '1 s' FROM generate_series(1, 30) n`)
	_, got := ask(t, r, 2, "GET", "/chat/messages/?conversation_id=9", "")
	var page struct {
		Results []struct {
			Content string `json:"content"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(got), &page); err != nil || len(page.Results) != 30 {
		t.Fatalf("%d messages, %v: %.200s", len(page.Results), err, got)
	}
	for i, m := range page.Results {
		if m.Content != fmt.Sprint(i+1)+strings.Repeat("x", 60_000) {
			t.Fatalf("message %d is %.20s…, of %d bytes", i+1, m.Content, len(m.Content))
		}
	}
}
