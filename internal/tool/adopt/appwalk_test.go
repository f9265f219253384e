package adopt_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// The apps of the predecessor walk through everything they do with chat and location, from the
// adoption to the way back. Between two sections a replica is drained and another one comes.
func TestAppsOfThePredecessorGoOnAfterTheAdoption(t *testing.T) {
	t.Parallel()
	p := startPhone(t)
	for i, section := range []struct {
		name string
		run  func(*phone, *testing.T)
	}{
		{"chat socket", (*phone).chatSocket},
		{"chat over HTTP", (*phone).chatOverHTTP},
		{"refusals over HTTP", (*phone).httpRefusals},
		{"read marks", (*phone).readMarks},
		{"location", (*phone).location},
		{"admin", (*phone).admin},
		{"refusals", (*phone).refusals},
	} {
		if i > 0 {
			p.restart(t)
		}
		if !t.Run(section.name, func(t *testing.T) { section.run(p, t) }) {
			t.FailNow()
		}
	}
	d := &database{url: p.world.DatabaseURL, conn: connect(t, p.world.DatabaseURL)}
	d.giveBack(t)
	d.expect(t, "SELECT count(*), count(*) FILTER (WHERE conversation_id = 2 AND id >= "+p.number+") FROM chat_message", "77 66")
	d.expect(t, "SELECT sender_id, receiver_id, is_read, content FROM chat_message WHERE id = "+p.number, "1 2 true hi there")
}

func (p *phone) chatSocket(t *testing.T) {
	customer, therapist := p.open(t, 0, cleo, "/ws/chat/1/2/"), p.open(t, 1, theo, "/ws/chat/1/2/")
	both := []*world.Socket{customer, therapist}
	for _, ignored := range []string{`{"message": " "}`, `{"foo": 1}`, `{"message": null}`} {
		customer.Send(t, ignored)
	}
	customer.Send(t, `{"message": "  hi there \n"}`)
	for _, s := range both { // the first frame of each socket
		f := expectMessage(t, s, "1", "hi there")
		if n, err := strconv.Atoi(f.MessageID); err != nil || n <= 11 || p.number != "" && p.number != f.MessageID {
			t.Errorf("message_id is %q; the predecessor's last one was 11", f.MessageID)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000000-07:00", f.Timestamp); err != nil {
			t.Error(err)
		}
		p.number = f.MessageID
	}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		from               *world.Socket
		sent, sender, text string
	}{
		{therapist, `{"message": "and back"}`, "2", "and back"},
		{customer, `{"type": "message", "message": "typed"}`, "1", "typed"},
		{customer, `{"message": "` + long + `"}`, "1", long},
	} {
		c.from.Send(t, c.sent)
		for _, s := range both {
			expectMessage(t, s, c.sender, c.text)
		}
	}
	for i := range 60 {
		customer.Send(t, fmt.Sprintf(`{"message": "n%d"}`, i))
	}
	for _, s := range both {
		for i := range 60 {
			expectMessage(t, s, "1", fmt.Sprintf("n%d", i))
		}
	}
}

// ownConversation returns the conversation of customer 1 and therapist 2 as the therapist sees it.
func (p *phone) ownConversation(t *testing.T) conversation {
	t.Helper()
	var list []conversation
	if status := p.ask(t, http.MethodGet, "/chat/conversations/", p.world.Token(t, theo), "", &list); status != http.StatusOK || len(list) != 1 {
		t.Fatalf("%d, %d conversations", status, len(list))
	}
	return list[0]
}

func (p *phone) chatOverHTTP(t *testing.T) {
	c := p.ownConversation(t)
	other, last := c.OtherParticipant, c.LastMessageContent
	if c.ID != 2 || len(c.Participants) != 2 || c.Participants[0] != 1 || c.Participants[1] != 2 || c.ParticipantsDetails[1].Name != "Theo" || !c.IsActive || c.Title != nil {
		t.Errorf("the conversation is %+v", c)
	}
	if other == nil || other.ID != 1 || other.Name != "Cleo" || other.Email == nil || *other.Email != "Cleo@example.com" {
		t.Errorf("the other participant is %+v", other)
	}
	if last == nil || last.Content != "n59" || last.Sender != 1 || !last.CreatedAt.Equal(c.UpdatedAt) || c.LastMessage == nil || *c.LastMessage != last.ID {
		t.Errorf("the last message is %+v of %+v", last, c)
	}
	if c.UnreadCount != 64 { // the predecessor's fourth and 63 of the section before
		t.Errorf("%d messages are unread", c.UnreadCount)
	}

	path, token := "/chat/messages/?conversation_id=2", p.world.Token(t, theo)
	var first messagePage
	if status := p.ask(t, http.MethodGet, path+"&page=1&page_size=2", token, "", &first); status != http.StatusOK || first.Count != 71 || first.Next == nil || first.Previous != nil ||
		len(first.Results) != 2 || first.Results[0].ID != 1 || first.Results[0].Content != "first" || first.Results[0].SenderDetails.Name != "Cleo" || first.Results[1].ID != 2 {
		t.Fatalf("%d %+v", status, first)
	}
	var all []message
	for n := 1; len(all) < first.Count; n++ {
		var page messagePage
		if status := p.ask(t, http.MethodGet, fmt.Sprintf("%s&page=%d&page_size=50", path, n), token, "", &page); status != http.StatusOK || len(page.Results) == 0 {
			t.Fatalf("page %d: %d %+v", n, status, page)
		}
		all = append(all, page.Results...)
	}
	found := false
	for i, m := range all {
		if i > 0 && !m.CreatedAt.After(all[i-1].CreatedAt) {
			t.Errorf("message %d is not newer than the one before", m.ID)
		}
		if fmt.Sprint(m.ID) == p.number {
			found = m.Content == "hi there" && m.Sender == 1 && m.Receiver == 2 && m.MessageType == "text" && string(m.Metadata) == "null" && !m.IsRead && m.ReadAt == nil
		}
	}
	if end := all[len(all)-1]; !found || end.Content != "n59" || len(all) != 71 {
		t.Errorf("%d messages, the last one is %+v, that of the socket is as sent: %v", len(all), end, found)
	}
}

func (p *phone) httpRefusals(t *testing.T) {
	var detail struct {
		Detail string `json:"detail"`
	}
	var text struct {
		Message string `json:"message"`
	}
	var bad struct {
		Detail   string              `json:"detail"`
		Code     string              `json:"code"`
		Messages []map[string]string `json:"messages"`
	}
	token := p.world.Token(t, theo)
	if status := p.ask(t, http.MethodGet, "/chat/messages/?conversation_id=2&page=9999&page_size=50", token, "", &detail); status != http.StatusNotFound {
		t.Errorf("a page beyond the end: %d", status)
	}
	if status := p.ask(t, http.MethodGet, "/chat/messages/", token, "", &text); status != http.StatusBadRequest {
		t.Errorf("no conversation: %d", status)
	}
	if status := p.ask(t, http.MethodGet, "/chat/conversations/", "", "", &detail); status != http.StatusUnauthorized {
		t.Errorf("no token: %d", status)
	}
	if status := p.ask(t, http.MethodGet, "/chat/conversations/", "x", "", &bad); status != http.StatusUnauthorized || bad.Code != "token_not_valid" {
		t.Errorf("a bad token: %d %+v", status, bad)
	}
}

func (p *phone) readMarks(t *testing.T) {
	var text struct {
		Message string `json:"message"`
	}
	status := p.ask(t, http.MethodPost, "/chat/conversations/read/", p.world.Token(t, theo), `{"conversation_id": 2}`, &text)
	if status != http.StatusOK || !strings.HasPrefix(text.Message, "64 ") {
		t.Errorf("%d %q", status, text.Message)
	}
	if n := p.ownConversation(t).UnreadCount; n != 0 {
		t.Errorf("%d messages are unread afterwards", n)
	}
}

func (p *phone) location(t *testing.T) {
	customer, therapist := p.open(t, 0, cleo, "/ws/location/1/2/"), p.open(t, 1, theo, "/ws/location/1/2/")
	for i, latitude := range []float64{52.52, 52.53} {
		therapist.Send(t, fmt.Sprintf(`{"latitude": %v, "longitude": 13.405}`, latitude))
		for _, s := range []*world.Socket{customer, therapist} {
			expectPosition(t, s, latitude, 13.405)
		}
		if i == 0 { // goes to nobody; the replica has handled it when it answers the ping
			customer.Send(t, `{"latitude": 1.5, "longitude": 2.5}`)
			if err := customer.Conn.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (p *phone) admin(t *testing.T) {
	admin, therapist, turned := p.open(t, 0, ada, "/ws/chat/1/2/"), p.open(t, 1, theo, "/ws/chat/1/2/"), p.open(t, 1, ada, "/ws/chat/2/1/")
	admin.Send(t, `{"message": "from the admin"}`)
	for _, s := range []*world.Socket{admin, therapist, turned} {
		expectMessage(t, s, "13", "from the admin")
	}
	turned.Send(t, `{"message": "by the other path"}`)
	expectMessage(t, therapist, "13", "by the other path")
	if last := p.ownConversation(t).LastMessageContent; last == nil || last.Sender != 13 || last.Receiver != 1 || last.SenderDetails.Name != "Ada" {
		t.Errorf("the last message is %+v", last)
	}
}

func (p *phone) refusals(t *testing.T) {
	for _, c := range []struct {
		path, token string
		code        int
	}{
		{"/ws/chat/1/2/", "x.y.z", 4001}, {"/ws/chat/999999/2/", p.world.Token(t, cleo), 4003}, {"/ws/chat/5/2/", p.world.Token(t, cleo), 4003},
	} {
		s := p.replicas[0].Connect(t, world.Handshake{Path: c.path, Query: url.Values{"token": {c.token}}})
		if end, before := s.WaitClose(t); int(end.Code) != c.code || len(before) > 0 {
			t.Errorf("%s is closed with %v after %v", c.path, end, before)
		}
	}
}
