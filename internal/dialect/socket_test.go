package dialect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

const chatPath, locationPath = "/ws/chat/1/2/", "/ws/location/1/2/"

// A message is the predecessor's frame of type message.
type message struct {
	Type      string `json:"type"`
	Message   string `json:"message"`
	SenderID  string `json:"sender_id"`
	MessageID string `json:"message_id"`
	Timestamp string `json:"timestamp"`
}

// expect takes the next frame, which must be a message of a sender, and returns it.
func expect(t testing.TB, s *world.Socket, sender room.UserID, text string) message {
	t.Helper()
	f := s.Next(t)
	var m message
	if err := json.Unmarshal([]byte(f.Raw), &m); err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	if m.Type != "message" || m.Message != text || m.SenderID != fmt.Sprint(sender) {
		t.Fatalf("got %s, want the message %.80q of %d", f, text, sender)
	}
	return m
}

// expectClose waits for a Close before which no frame comes.
func expectClose(t testing.TB, s *world.Socket, code int, reason string) {
	t.Helper()
	c, before := s.WaitClose(t)
	if int(c.Code) != code || c.Reason != reason+" ref="+s.Ref() || len(before) > 0 {
		t.Fatalf("closed with %v after %v, want %d %s and no frame", c, before, code, reason)
	}
}

func TestAppsOfThePredecessorChatAsBefore(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, classic)
	customer, therapist, other := open(t, a, world.Customer, chatPath), open(t, b, world.Therapist, chatPath), a.Chat(t, world.Therapist)
	form := regexp.MustCompile(`^\{"type": "message", "message": "hi \\"there\\" \\u4f60", "sender_id": "1", "message_id": "\d+", "timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"\}$`)
	for _, ignored := range []string{`{"message":" "}`, `{"foo":1}`, `no JSON`, `{"message":7}`, `[]`, `{"type":"ping"}`, `{"type":"read","seq":1}`} {
		customer.Send(t, ignored)
	}
	customer.Write(t, websocket.MessageBinary, []byte(`{"message":"binary"}`))
	customer.Send(t, `{"type":"typing","message":"  hi \"there\" 你\n"}`)
	first := customer.Next(t)
	if !form.MatchString(first.Raw) {
		t.Errorf("the first frame is %s", first.Raw)
	}
	if got := therapist.Next(t); got.Raw != first.Raw {
		t.Errorf("the other side gets %s", got.Raw)
	}
	stored := other.Expect(t, "chat_message")
	if stored.Message != `hi "there" 你` || stored.SenderID != 1 || stored.SenderRole != "customer" || stored.ClientMessageID == "" {
		t.Errorf("a client of roomspa's protocol gets %s", stored.Raw)
	}

	// A long text, which a client of roomspa's protocol may not send.
	therapist.Send(t, `{"message":"`+strings.Repeat("y", 20_000)+`"}`)
	m := expect(t, customer, world.Therapist, strings.Repeat("y", 20_000))
	expect(t, therapist, world.Therapist, strings.Repeat("y", 20_000))
	if want := world.Query[int64](t, w, "SELECT number FROM roomspa.messages WHERE seq = 2"); m.MessageID != fmt.Sprint(want) {
		t.Errorf("message_id is %s, want %d", m.MessageID, want)
	}
	if want := world.Query[string](t, w, `SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00') FROM roomspa.messages WHERE seq = 2`); m.Timestamp != want {
		t.Errorf("timestamp is %s, want %s", m.Timestamp, want)
	}
	other.ExpectMessages(t, 1, 1)

	// Receipts, typing and acks of others are not for these apps, and their sends are no receipts.
	other.Mark(t, "read", 2)
	other.Send(t, `{"type":"typing","is_typing":true}`)
	other.Say(t, " untrimmed ", "c1")
	for _, s := range []*world.Socket{customer, therapist} {
		expect(t, s, world.Therapist, " untrimmed ")
	}
	customer.Send(t, `{"message":"answer"}`)
	expect(t, therapist, world.Customer, "answer")
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.cursors WHERE user_id = 1"); n != 0 {
		t.Error("a classic send moves a cursor")
	}
	if n := a.Metric(t, `roomspa_connections{dialect="classic",endpoint="chat"}`); n != 1 {
		t.Errorf("%v classic sockets are counted, want 1", n)
	}
	if n := a.Metric(t, `roomspa_classic_messages_total{outcome="stored"}`); n != 2 {
		t.Errorf("%v stored messages are counted, want 2", n)
	}
	if n := a.Metric(t, `roomspa_classic_messages_total{outcome="ignored"}`); n != 8 {
		t.Errorf("%v ignored messages are counted, want 8", n)
	}
}

func TestTheRequestDecidesTheDialectOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	token := w.Token(t, world.Customer)
	header := http.Header{"Authorization": {"Bearer " + token}}
	for name, c := range map[string]struct {
		h       world.Handshake
		classic bool
	}{
		"a token in the query":        {world.Handshake{Query: url.Values{"token": {token}}}, true},
		"a token in the header":       {world.Handshake{Header: header}, true},
		"a stale token in the header": {world.Handshake{Query: url.Values{"token": {token}}, Header: http.Header{"Authorization": {"Bearer stale"}}}, true},
		"another subprotocol":         {world.Handshake{Header: header, Subprotocols: []string{"chat"}}, true},
		"other parameters":            {world.Handshake{Header: header, Query: url.Values{"device": {"x"}, "last_ref": {"0123456789abcdef"}}}, true},
		"the subprotocol":             {world.Handshake{Subprotocols: []string{"bearer", token}}, false},
		"v":                           {world.Handshake{Header: header, Query: url.Values{"v": {"1"}}}, false},
		"since":                       {world.Handshake{Header: header, Query: url.Values{"since": {"0"}}}, false},
		"greet":                       {world.Handshake{Header: header, Query: url.Values{"greet": {"0"}}}, false},
		"close":                       {world.Handshake{Header: header, Query: url.Values{"close": {""}}}, false},
		"close_codes":                 {world.Handshake{Header: header, Query: url.Values{"close_codes": {"app"}}}, false},
		"ticket":                      {world.Handshake{Header: header, Query: url.Values{"ticket": {""}}}, false},
	} {
		c.h.Path = chatPath
		s := r.Connect(t, c.h)
		if c.classic {
			s.Send(t, `{"message":"`+name+`"}`)
			expect(t, s, world.Customer, name)
		} else if f := s.Next(t); f.Type != "connected" {
			t.Errorf("%s: the first frame is %s", name, f.Raw)
		}
		_ = s.Conn.Close(websocket.StatusNormalClosure, "")
	}
	w.Ready(t, "b").Connect(t, world.Handshake{Path: chatPath, Header: header}).Expect(t, "connected") // without the flag
}

func TestARefusalIsACloseAlone(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	for name, c := range map[string]struct {
		path, token string
		code        int
		reason      string
	}{
		"a bad token":       {chatPath, "x.y.z", 4001, "token_invalid"},
		"no token":          {chatPath, "", 4001, "token_missing"},
		"a refresh token":   {chatPath, world.Sign(t, world.Object{"token_type": "refresh"}), 4001, "token_invalid"},
		"another's room":    {"/ws/chat/3/2/", w.Token(t, world.Customer), 4003, "not_your_room"},
		"nobody":            {"/ws/location/1/99/", w.Token(t, world.Customer), 4003, "no_such_therapist"},
		"the turned room":   {"/ws/chat/2/1/", w.Token(t, world.Customer), 4003, "wrong_role"},
		"an odd id":         {"/ws/chat/01/2/", w.Token(t, world.Customer), 4000, "bad_id"},
		"an inactive user":  {"/ws/chat/5/2/", w.Token(t, world.Inactive), 4001, "user_inactive"},
		"revoked by an iat": {"/ws/chat/7/2/", w.Token(t, world.Revoked), 4001, "token_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectClose(t, r.Connect(t, world.Handshake{Path: c.path, Query: url.Values{"token": {c.token}}}), c.code, c.reason)
		})
	}
}

func TestAClassicSocketOutlivesItsTokenUntilTheUserIsDeactivated(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	query := url.Values{"token": {w.TokenFor(t, world.Customer, 5*time.Second)}}
	s := r.Connect(t, world.Handshake{Path: chatPath, Query: query})
	query.Set("v", "1")
	own := r.Connect(t, world.Handshake{Path: chatPath, Query: query})
	own.Expect(t, "connected")
	own.ExpectRefusal(t, 4001, "token_expired")
	s.Send(t, `{"message":"still here"}`)
	expect(t, s, world.Customer, "still here")
	w.Exec(t, "UPDATE roomspa.users SET is_active = false WHERE id = 1")
	expectClose(t, s, 4001, "user_inactive")
}

func TestSupportEntersARoomByBothPaths(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic, func(o *app.Options) { o.SupportMaySend = true })
	turned, own := open(t, r, world.Support, "/ws/chat/2/1/"), r.Chat(t, world.Customer)
	turned.Send(t, `{"message":"from support"}`)
	expect(t, turned, world.Support, "from support")
	if f := own.Expect(t, "chat_message"); f.SenderRole != "support" || f.SenderID != int64(world.Support) {
		t.Errorf("the customer gets %s", f.Raw)
	}
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.conversations"); n != 1 {
		t.Errorf("there are %d conversations, want 1", n)
	}
	// The room is turned again when the socket is checked.
	customer := open(t, r, world.Customer, chatPath)
	w.Exec(t, "UPDATE roomspa.users SET is_active = false WHERE id = 1")
	expectClose(t, customer, 4001, "user_inactive")
	turned.Send(t, `{"message":"still here"}`)
	expect(t, turned, world.Support, "still here")
}

func TestSupportMaySendOnlyIfTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	support, customer := open(t, r, world.Support, chatPath), open(t, r, world.Customer, chatPath)
	support.Send(t, `{"message":"from support"}`)
	support.Send(t, `{"message":"again"}`)
	world.Eventually(t, "both are refused", func() (bool, any) {
		n := r.Metric(t, `roomspa_classic_messages_total{outcome="refused"}`)
		return n == 2, n
	})
	customer.Send(t, `{"message":"hi"}`)
	expect(t, support, world.Customer, "hi")

	may := w.Ready(t, "b", func(o *app.Options) { o.SupportMaySend = true }) // roomspa's own protocol
	s := may.ConnectAs(t, world.Support, chatPath, nil)
	s.Expect(t, "connected")
	s.Say(t, "from support", "c1")
	s.Find(t, "ack")
	expect(t, customer, world.Customer, "hi")
	expect(t, customer, world.Support, "from support")
}

func TestTextOfABlockedSenderIsDropped(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	customer, therapist := open(t, r, world.Customer, chatPath), open(t, r, world.Therapist, chatPath)
	if res, body := r.Request(t, http.MethodPost, "/api/users/1/block/", w.Token(t, world.Therapist), ""); res.StatusCode >= 300 {
		t.Fatalf("block: %d %s", res.StatusCode, body)
	}
	world.Eventually(t, "the message of a blocked sender is dropped", func() (bool, any) {
		customer.Send(t, `{"message":"blocked"}`)
		n := r.Metric(t, `roomspa_classic_messages_total{outcome="blocked"}`)
		return n > 0, n
	})
	therapist.Send(t, `{"message":"hello"}`)
	for f := therapist.Next(t); ; f = therapist.Next(t) { // a block takes a moment
		if strings.Contains(f.Raw, `"sender_id": "2"`) {
			break
		}
	}
	if !strings.Contains(r.Log.About(customer.Ref()), "Frame refused: blocked") {
		t.Error("the log does not say so")
	}
}

func TestTheTestPathAnswersAsBefore(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", classic)
	s := r.Connect(t, world.Handshake{Path: "/ws/test/"})
	const end = `, "timestamp": "2024-01-01T00:00:00Z"}`
	if f := s.Next(t); f.Raw != `{"type": "connection_established", "message": "Connected."`+end {
		t.Errorf("the first frame is %s", f.Raw)
	}
	for _, c := range [][2]string{
		{`{"message":"hi \u00fc ü"}`, `{"type": "echo", "message": "Echo: hi \u00fc \u00fc"` + end},
		{`{"message": 5.0}`, `{"type": "echo", "message": "Echo: 5.0"` + end},
		{`{"message":true}`, `{"type": "echo", "message": "Echo: True"` + end},
		{`{"message":null}`, `{"type": "echo", "message": "Echo: None"` + end},
		{`{}`, `{"type": "echo", "message": "Echo: "` + end},
		{`hello`, `{"type": "error", "message": "The frame is not JSON."` + end},
		{`[1]`, `{"type": "error", "message": "The frame is not a JSON object."` + end},
		{`null`, `{"type": "error", "message": "The frame is not a JSON object."` + end},
	} {
		s.Send(t, c[0])
		if f := s.Next(t); f.Raw != c[1] {
			t.Errorf("%s is answered with %s, want %s", c[0], f.Raw, c[1])
		}
	}
	plain := r.Connect(t, world.Handshake{Path: "/ws/test/", Query: url.Values{"v": {"1"}}})
	plain.Send(t, "hello")
	if f := plain.Next(t); f.Raw != "hello" {
		t.Errorf("a client of roomspa's protocol gets %s", f.Raw)
	}
}
