package chat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

type online struct {
	Type     string `json:"type"`
	UserID   int64  `json:"user_id"`
	ID       int64  `json:"id"`
	Online   *bool  `json:"online"`
	LastSeen string `json:"last_seen"`
}

// watch opens a chat that takes presence frames, and returns the peer of its connected frame.
func watch(t *testing.T, r *world.Replica, user room.UserID) (*world.Socket, online) {
	t.Helper()
	s := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", r.World.Token(t, user)}, Presence: true})
	var connected struct {
		Peer online `json:"peer"`
	}
	if err := json.Unmarshal([]byte(s.Expect(t, "connected").Raw), &connected); err != nil {
		t.Fatal(err)
	}
	return s, connected.Peer
}

func presenceOf(t *testing.T, s *world.Socket) (o online) {
	t.Helper()
	f := s.Expect(t, "presence")
	if err := json.Unmarshal([]byte(f.Raw), &o); err != nil || o.Online == nil {
		t.Fatalf("%s: %v", f.Raw, err)
	}
	return o
}

func TestTheOtherSideIsToldWhoIsOnline(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	customer, peer := watch(t, a, world.Customer)
	if peer.ID != 2 || peer.Online == nil || *peer.Online || peer.LastSeen != "" {
		t.Errorf("nobody was here, but the peer is %+v", peer)
	}
	began := time.Now()
	therapist, peer := watch(t, b, world.Therapist)
	if peer.ID != 1 || peer.Online == nil || !*peer.Online {
		t.Errorf("the customer is %+v", peer)
	}
	if o := presenceOf(t, customer); o.UserID != 2 || !*o.Online {
		t.Errorf("the therapist is %+v", o)
	}
	if took := time.Since(began); took > 5*time.Second { // a poll takes longer
		t.Errorf("it took %v", took)
	}
	support, peer := watch(t, b, world.Support)
	if peer.ID != 0 || peer.Online != nil {
		t.Errorf("support was told %+v", peer)
	}
	began = time.Now()
	_ = therapist.Conn.CloseNow()
	o := presenceOf(t, customer)
	if took := time.Since(began); took < 10*time.Second {
		t.Errorf("offline after %v", took)
	}
	seen, err := time.Parse(time.RFC3339, o.LastSeen)
	if *o.Online || o.UserID != 2 || err != nil || seen.Second() != 0 || time.Since(seen) > 2*time.Minute {
		t.Errorf("the therapist is %+v, %v", o, err)
	}
	_ = support.Conn.CloseNow()
	customer.ExpectNothing(t)
	if n := b.Metric(t, `roomspa_presence_transitions_total{state="offline"}`); n != 1 {
		t.Errorf("%v went offline", n)
	}
}

// A user with no other socket than one for positions is online.
func TestASocketForPositionsIsPresence(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	b.Location(t, world.Therapist)
	if customer, peer := watch(t, a, world.Customer); peer.Online == nil || !*peer.Online {
		if o := presenceOf(t, customer); !*o.Online {
			t.Errorf("the therapist is %+v", o)
		}
	}
	b.Location(t, world.Support)
}

func TestPresenceCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.Presence = "off" })
	customer, peer := watch(t, r, world.Customer)
	if peer.ID != 2 || peer.Online != nil || peer.LastSeen != "" {
		t.Errorf("the peer is %+v", peer)
	}
	therapist, _ := watch(t, r, world.Therapist)
	therapist.Send(t, types)
	if f := customer.Next(t); f.Type != "typing" {
		t.Errorf("got %s", f.Raw)
	}
}

// A rolling update, seen by somebody whose own replica stays.
func TestNobodyFlapsWhenAReplicaDrains(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	customer, _ := watch(t, a, world.Customer)
	therapist, _ := watch(t, b, world.Therapist)
	if o := presenceOf(t, customer); !*o.Online {
		t.Fatalf("the therapist is %+v", o)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, _ := therapist.WaitClose(t); c.Code != 1012 {
		t.Errorf("closed with %v", c)
	}
	<-time.After(5 * time.Second)
	watch(t, a, world.Therapist)
	<-time.After(15 * time.Second) // until the entry of b has expired, and a poll
	customer.ExpectNothing(t)
}

// Who was online before a block looks offline after it, and online again when it is lifted.
func TestABlockEndsPresence(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	_, _ = watch(t, r, world.Therapist)
	customer, peer := watch(t, r, world.Customer)
	if peer.Online == nil || !*peer.Online {
		t.Fatalf("the therapist is %+v", peer)
	}
	for _, c := range []struct {
		method string
		online bool
	}{{http.MethodPost, false}, {http.MethodDelete, true}} {
		if res, body := r.Request(t, c.method, "/api/users/2/block/", w.Token(t, world.Customer), ""); res.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: %d %s", c.method, res.StatusCode, body)
		}
		world.Eventually(t, "the presence changes", func() (bool, any) {
			customer.Send(t, `{"type":"ping"}`) // wakes the writer
			f := customer.Next(t)
			return f.Type == "presence" && strings.Contains(f.Raw, fmt.Sprintf(`"online":%t`, c.online)), f.Raw
		})
	}
}
