package adopt_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// The users of the fixture that the apps sign in as.
const (
	cleo room.UserID = 1  // a customer
	theo room.UserID = 2  // her therapist
	ada  room.UserID = 13 // an admin
)

// What an app of the predecessor decodes. A member that it does not know, or one of another type,
// is an error, as it is in a statically typed app.
type (
	messageFrame struct {
		Type      string `json:"type"`
		Message   string `json:"message"`
		SenderID  string `json:"sender_id"`
		MessageID string `json:"message_id"`
		Timestamp string `json:"timestamp"`
	}
	positionFrame struct {
		Type        string  `json:"type"`
		Latitude    float64 `json:"latitude"`
		Longitude   float64 `json:"longitude"`
		TherapistID string  `json:"therapist_id"`
	}
	person struct {
		ID    int64   `json:"id"`
		Name  string  `json:"name"`
		Email *string `json:"email"`
	}
	message struct {
		ID            int64           `json:"id"`
		Sender        int64           `json:"sender"`
		SenderDetails person          `json:"sender_details"`
		Receiver      int64           `json:"receiver"`
		Content       string          `json:"content"`
		IsRead        bool            `json:"is_read"`
		CreatedAt     time.Time       `json:"created_at"`
		ReadAt        *time.Time      `json:"read_at"`
		MessageType   string          `json:"message_type"`
		Metadata      json.RawMessage `json:"metadata"`
	}
	conversation struct {
		ID                  int64      `json:"id"`
		Participants        []int64    `json:"participants"`
		ParticipantsDetails []person   `json:"participants_details"`
		LastMessage         *int64     `json:"last_message"`
		LastMessageContent  *message   `json:"last_message_content"`
		UnreadCount         int        `json:"unread_count"`
		UpdatedAt           time.Time  `json:"updated_at"`
		CreatedAt           *time.Time `json:"created_at"`
		IsActive            bool       `json:"is_active"`
		Title               *string    `json:"title"`
		OtherParticipant    *person    `json:"other_participant"`
	}
	messagePage struct {
		Count    int       `json:"count"`
		Next     *string   `json:"next"`
		Previous *string   `json:"previous"`
		Results  []message `json:"results"`
	}
)

// decode decodes strictly. Each member of v must be there.
func decode(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("an app cannot read %s: %v", text, err)
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(text, `":`), strings.Count(string(encoded), `":`); got != want {
		t.Fatalf("an app finds %d members and misses some of its %d in %s", got, want, text)
	}
}

// A phone is where the apps of a test run: they use the two replicas in turn.
type phone struct {
	world    *world.World
	replicas [2]*world.Replica
	restarts int
	number   string // message_id of the first message
}

func startPhone(t *testing.T) *phone {
	t.Helper()
	w := world.NewWith(t, migrated)
	(&database{url: w.DatabaseURL}).apply(t)
	p := &phone{world: w}
	p.replicas[0], p.replicas[1] = w.Pair(t, classicClients)
	return p
}

// classicClients are the options of a replica after the cut-over.
func classicClients(o *app.Options) { o.ClassicClients, o.SupportMaySend = true, true }

// restart drains a replica and starts another one. The replicas take turns. A socket that is open
// meanwhile gets nothing but a Close.
func (p *phone) restart(t *testing.T) {
	t.Helper()
	r := &p.replicas[p.restarts%2]
	idle := p.open(t, p.restarts%2, cleo, "/ws/chat/1/2/")
	if err := (*r).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if end, before := idle.WaitClose(t); int(end.Code) != 1012 || len(before) > 0 {
		t.Errorf("a drained socket is closed with %v after %v", end, before)
	}
	p.restarts++
	*r = p.world.Ready(t, "after-"+string(rune('0'+p.restarts)), classicClients)
}

// open opens a socket and waits until it is joined: no frame says so.
func (p *phone) open(t *testing.T, replica int, user room.UserID, path string) *world.Socket {
	t.Helper()
	r := p.replicas[replica]
	s := r.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {p.world.Token(t, user)}}})
	last := "Connection accepted"
	if strings.HasPrefix(path, "/ws/chat/") {
		last = "Conversation loaded/created"
	}
	world.Eventually(t, "the socket is joined", func() (bool, any) {
		lines := r.Log.About(s.Ref())
		return strings.Contains(lines, last), lines
	})
	return s
}

// ask sends a request, decodes the answer and returns the status. A token of "" is left out.
func (p *phone) ask(t *testing.T, method, path, token, body string, answer any) int {
	t.Helper()
	res, text := p.replicas[len(path)%2].Request(t, method, path, token, body, "Content-Type", "application/json")
	if kind := res.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s %s is answered as %q", method, path, kind)
	}
	decode(t, string(text), answer)
	return res.StatusCode
}

// expectMessage takes the next frame, which must be a message of a sender.
func expectMessage(t *testing.T, s *world.Socket, sender, text string) messageFrame {
	t.Helper()
	var f messageFrame
	decode(t, s.Next(t).Raw, &f)
	if f.Type != "message" || f.SenderID != sender || f.Message != text {
		t.Fatalf("got %.200v, want %.80q of %s", f, text, sender)
	}
	return f
}

func expectPosition(t *testing.T, s *world.Socket, latitude, longitude float64) {
	t.Helper()
	var f positionFrame
	decode(t, s.Next(t).Raw, &f)
	if want := (positionFrame{"location", latitude, longitude, "2"}); f != want {
		t.Fatalf("got %v, want %v", f, want)
	}
}
