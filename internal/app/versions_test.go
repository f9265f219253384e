package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestTheReleaseBeforeServesARoomTogetherWithThisOne runs an update and its
// rollback: the schema is this release's, and replicas of both share one room.
func TestTheReleaseBeforeServesARoomTogetherWithThisOne(t *testing.T) {
	t.Parallel()
	before := world.Build(t, sourceOf(t, previousRelease(t)))
	now := world.Program(t)
	w := world.New(t, world.EmptyDatabase)
	old := startOld(t, w, before, now)
	current := w.Serve(t, "current", now)

	ann, tom := &device{user: world.Customer, acked: map[string]int64{}}, &device{user: world.Therapist, acked: map[string]int64{}}
	ann.connect(t, old)
	tom.connect(t, current)
	converse(t, 60, ann, tom)

	// Who changes to the other one resumes there.
	ann.leave(t)
	tom.say(t, 30)
	tom.settle(t)
	ann.connect(t, current)
	tom.leave(t)
	ann.say(t, 30)
	ann.settle(t)
	tom.connect(t, old)
	converse(t, 20, ann, tom)

	// So does whose replica is killed, and what it has not acknowledged is sent again.
	for _, dies := range []*world.Replica{old, current} {
		ann.connect(t, old)
		tom.connect(t, current)
		ann.say(t, 40)
		tom.say(t, 40)
		if err := dies.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		lives := current
		if dies == current {
			lives = old
		}
		ann.connect(t, lives)
		tom.connect(t, lives)
		converse(t, 20, ann, tom)
		if err := dies.Process.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		old.WaitReady(t)
		current.WaitReady(t)
	}

	all := w.Messages(t)
	for _, d := range []*device{ann, tom} {
		world.ExpectSame(t, "user "+strconv.Itoa(int(d.user)), d.heard, all)
		for id, seq := range d.acked {
			if all[seq-1].Text != id || all[seq-1].Sender != int64(d.user) {
				t.Errorf("%s was acknowledged as %d, where %+v is stored", id, seq, all[seq-1])
			}
		}
	}
	expectSameHistory(t, w, old, current)
	expectPositionsAtBoth(t, old, current)
	expectSignInAtBoth(t, old, current)
	for _, r := range []*world.Replica{old, current} {
		for _, reason := range []string{"unknown", "not_authentic", "unknown_key", "stale"} {
			if r == old && reason == "unknown" {
				continue // it does not know the events about receipts
			}
			if n := r.Metric(t, `roomspa_events_dropped_total{reason="`+reason+`"}`); n != 0 {
				t.Errorf("%v events of the other one were dropped: %s", n, reason)
			}
		}
	}
}

func expectSameHistory(t *testing.T, w *world.World, old, current *world.Replica) {
	t.Helper()
	type page struct { // what both versions know
		Conversations []struct {
			ID      string
			LastSeq int64 `json:"last_seq"`
		}
		Messages []struct {
			Seq     int64
			Sender  int64 `json:"sender_id"`
			Message string
		}
		HasMore bool `json:"has_more"`
	}
	read := func(r *world.Replica, path string) (p page) {
		_, body := r.Request(t, http.MethodGet, "/api/conversations"+path, w.Token(t, world.Customer), "")
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatalf("GET %s: %v: %s", path, err, body)
		}
		return p
	}
	id := world.Query[string](t, w, "SELECT id::text FROM roomspa.conversations")
	for _, path := range []string{"/", "/" + id + "/messages/?limit=200"} {
		a, b := read(old, path), read(current, path)
		if diff := cmp.Diff(a, b); diff != "" || len(a.Messages)+len(a.Conversations) == 0 {
			t.Errorf("%s (-old +current):\n%s", path, diff)
		}
	}
}

// expectPositionsAtBoth sends a position each way, to sockets that are open and to ones that come later.
func expectPositionsAtBoth(t *testing.T, old, current *world.Replica) {
	t.Helper()
	for i, way := range [][2]*world.Replica{{old, current}, {current, old}} {
		from, to := way[0].Location(t, world.Therapist), way[1].Location(t, world.Customer)
		latitude := float64(10 + i)
		from.Send(t, `{"latitude":`+strconv.Itoa(10+i)+`,"longitude":2}`)
		for {
			if g := to.Find(t, "location_update"); *g.Latitude == latitude { // that of the first round comes before
				break
			}
		}
		for _, r := range way {
			if g := r.Location(t, world.Support).Expect(t, "location_update"); *g.Latitude != latitude {
				t.Errorf("the last position is %s", g.Raw)
			}
		}
	}
}

// startOld starts the older program on a schema that the newer one has made.
func startOld(t *testing.T, w *world.World, before, now string) *world.Replica {
	t.Helper()
	if out, err := w.Run(t, now, "migrate", "up"); err != nil {
		t.Fatalf("migrate: %v: %s", err, out)
	}
	if err := world.Populate(t.Context(), w.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	return w.Serve(t, "old", before)
}

func expectSignInAtBoth(t *testing.T, old, current *world.Replica) {
	t.Helper()
	for _, way := range [][2]*world.Replica{{old, current}, {current, old}} {
		here, there := way[0], way[1]
		first := here.Login(t, world.Customer, world.Password).Expect(t, 200, "")
		second := there.Refresh(t, first.Refresh).Expect(t, 200, "")
		if again := here.Refresh(t, first.Refresh).Expect(t, 200, ""); again.Refresh != second.Refresh {
			t.Error("the two do not give the same successor")
		}
		ticket := here.Post(t, "/api/ticket/", nil, second.Access).Expect(t, 200, "").Ticket
		sockets := []*world.Socket{
			there.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}}),
			there.Connect(t, world.Handshake{Path: "/ws/location/1/2/", Subprotocols: []string{"bearer", first.Access}}),
			here.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", second.Access}}),
		}
		for _, s := range sockets {
			s.Expect(t, "connected")
		}
		here.Post(t, "/logout/", m{"refresh_token": second.Refresh, "everywhere": true}).Expect(t, 204, "")
		for _, s := range sockets {
			if c, _ := s.WaitClose(t); c.Code != 4001 {
				t.Errorf("closed with %v", c)
			}
		}
		there.Refresh(t, second.Refresh).Expect(t, 401, "token_revoked")
		there.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", second.Access}}).ExpectRefusal(t, 4001, "token_revoked")
	}
}

// device is a client that stays the same from socket to socket: it resumes, and sends again what is not acknowledged.
type device struct {
	user   room.UserID
	socket *world.Socket
	said   int
	acked  map[string]int64 // by client_message_id, which is the text too
	heard  []world.Message
}

// connect connects to a replica, and leaves the one before.
func (d *device) connect(t *testing.T, r *world.Replica) {
	t.Helper()
	d.leave(t)
	d.socket = r.ConnectAs(t, d.user, "/ws/chat/1/2/", url.Values{"since": {strconv.Itoa(len(d.heard))}})
	d.socket.Expect(t, "connected")
	for n := range d.said {
		if id := d.id(n); d.acked[id] == 0 {
			d.socket.Say(t, id, id)
		}
	}
}

// leave hangs up, and takes the frames that came before.
func (d *device) leave(t *testing.T) {
	t.Helper()
	if d.socket == nil {
		return
	}
	_ = d.socket.Conn.CloseNow()
	_ = d.socket.WaitEnd(t)
	for _, f := range d.socket.Drain() {
		d.take(t, f)
	}
}

func (d *device) id(n int) string { return "u" + strconv.Itoa(int(d.user)) + "-" + strconv.Itoa(n) }

func (d *device) say(t *testing.T, n int) {
	t.Helper()
	for range n {
		id := d.id(d.said)
		d.said++
		d.socket.Say(t, id, id)
	}
}

// settle waits until all is acknowledged.
func (d *device) settle(t *testing.T) {
	t.Helper()
	for len(d.acked) < d.said {
		d.take(t, d.socket.Next(t))
	}
}

func (d *device) take(t *testing.T, g world.Frame) {
	t.Helper()
	switch g.Type {
	case "ack":
		if seq := d.acked[g.ClientMessageID]; seq != 0 && seq != g.Seq {
			t.Errorf("%s was acknowledged as %d, and now as %s", g.ClientMessageID, seq, g.Raw)
		}
		d.acked[g.ClientMessageID] = g.Seq
	case "chat_message":
		if g.Seq != int64(len(d.heard))+1 {
			t.Fatalf("user %d got seq %d after %d", d.user, g.Seq, len(d.heard))
		}
		d.heard = append(d.heard, g.ChatMessage())
	case "delivered", "read", "presence": // new in this release
	case "resumed":
		if g.Reset {
			t.Errorf("reset: %s", g.Raw)
		}
	default:
		t.Fatalf("user %d got %s", d.user, g.Raw)
	}
}

// converse lets everybody say something, and waits until all have heard all that
// anybody ever said.
func converse(t *testing.T, n int, all ...*device) {
	t.Helper()
	said := 0
	for _, d := range all {
		d.say(t, n)
	}
	for _, d := range all {
		d.settle(t)
		said += d.said
	}
	for _, d := range all {
		for len(d.heard) < said {
			d.take(t, d.socket.Next(t))
		}
	}
}
