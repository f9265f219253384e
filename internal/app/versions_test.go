package app_test

import (
	"net/url"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

// TestTheReleaseBeforeServesARoomTogetherWithThisOne runs an update and its
// rollback: the schema is this release's, and replicas of both share one room.
func TestTheReleaseBeforeServesARoomTogetherWithThisOne(t *testing.T) {
	t.Parallel()
	before := build(t, sourceOf(t, previousRelease(t)))
	now := build(t, "../..")
	redisURL, prefix := sandboxtest.Redis(t)
	w := &world{databaseURL: sandboxtest.Database(t, nil), redisURL: redisURL, prefix: prefix, keys: keys(t)}
	old, oldProcess := w.unmigrated(t, before, now)
	current, currentProcess := w.serve(t, "current", now)

	ann, tom := &device{user: customer, acked: map[string]int64{}}, &device{user: therapist, acked: map[string]int64{}}
	ann.on(t, old)
	tom.on(t, current)
	converse(t, 60, ann, tom)

	// Who changes to the other one resumes there.
	ann.leave(t)
	tom.say(t, 30)
	tom.settle(t)
	ann.on(t, current)
	tom.leave(t)
	ann.say(t, 30)
	ann.settle(t)
	tom.on(t, old)
	converse(t, 20, ann, tom)

	// So does whose replica is killed, and what it has not acknowledged is sent again.
	for _, dies := range []process{oldProcess, currentProcess} {
		ann.on(t, old)
		tom.on(t, current)
		ann.say(t, 40)
		tom.say(t, 40)
		if err := dies.Kill(); err != nil {
			t.Fatal(err)
		}
		lives := current
		if dies == currentProcess {
			lives = old
		}
		ann.on(t, lives)
		tom.on(t, lives)
		converse(t, 20, ann, tom)
		if err := dies.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		old.becomesReady(t)
		current.becomesReady(t)
	}

	all := stored(t, w)
	for _, d := range []*device{ann, tom} {
		equal(t, "user "+strconv.Itoa(int(d.user)), d.heard, all)
		for id, seq := range d.acked {
			if all[seq-1].Text != id || all[seq-1].Sender != int64(d.user) {
				t.Errorf("%s was acknowledged as %d, where %+v is stored", id, seq, all[seq-1])
			}
		}
	}
	w.historyIsTheSame(t, old, current)
	w.positionsReachBoth(t, old, current)
	w.signsInAtBoth(t, old, current)
	for _, r := range []*replica{old, current} {
		if n := r.metric(t, "roomspa_redis_unreadable_payloads_total"); n != 0 {
			t.Errorf("%v payloads of the other one could not be read", n)
		}
	}
}

func (w *world) historyIsTheSame(t *testing.T, old, current *replica) {
	t.Helper()
	id := query[string](t, w, "SELECT id::text FROM roomspa.conversations")
	for _, path := range []string{"/", "/" + id + "/messages/?limit=200"} {
		_, a := old.read(t, w.token(t, customer), path)
		_, b := current.read(t, w.token(t, customer), path)
		if diff := cmp.Diff(a, b); diff != "" || len(a.Messages)+len(a.Conversations) == 0 {
			t.Errorf("%s (-old +current):\n%s", path, diff)
		}
	}
}

// positionsReachBoth sends one each way, to who is there and to who comes later.
func (w *world) positionsReachBoth(t *testing.T, old, current *replica) {
	t.Helper()
	for i, way := range [][2]*replica{{old, current}, {current, old}} {
		from, to := way[0].location(t, therapist), way[1].location(t, customer)
		latitude := float64(10 + i)
		from.send(t, `{"latitude":`+strconv.Itoa(10+i)+`,"longitude":2}`)
		for {
			if g := to.find(t, "location_update"); *g.Latitude == latitude { // that of the first round comes before
				break
			}
		}
		for _, r := range way {
			if g := r.location(t, support).want(t, "location_update"); *g.Latitude != latitude {
				t.Errorf("the last position is %s", g.raw)
			}
		}
	}
}

// unmigrated starts the older program on a schema that the newer one has made.
func (w *world) unmigrated(t *testing.T, before, now string) (*replica, process) {
	t.Helper()
	migrate := exec.CommandContext(t.Context(), now, "migrate", "up")
	migrate.Env = w.environment("migrate", "", "")
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v: %s", err, out)
	}
	if err := populate(t.Context(), w.databaseURL); err != nil {
		t.Fatal(err)
	}
	w.givePassword(t, customer)
	return w.serve(t, "old", before)
}

func (w *world) signsInAtBoth(t *testing.T, old, current *replica) {
	t.Helper()
	for _, way := range [][2]*replica{{old, current}, {current, old}} {
		here, there := way[0], way[1]
		first := here.login(t, customer, password).is(t, 200, "")
		second := there.refresh(t, first.Refresh).is(t, 200, "")
		if again := here.refresh(t, first.Refresh).is(t, 200, ""); again.Refresh != second.Refresh {
			t.Error("the two do not give the same successor")
		}
		ticket := here.post(t, "/api/ticket/", nil, second.Access).is(t, 200, "").Ticket
		sockets := []*socket{
			there.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"ticket": {ticket}}}),
			there.connect(t, dial{path: "/ws/location/1/2/", subprotocols: []string{"bearer", first.Access}}),
			here.connect(t, dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", second.Access}}),
		}
		for _, s := range sockets {
			s.want(t, "connected")
		}
		began := time.Now()
		here.post(t, "/logout/", m{"refresh_token": second.Refresh, "everywhere": true}).is(t, 204, "")
		for _, s := range sockets {
			if c, _ := s.closed(t); c.Code != 4001 {
				t.Errorf("closed with %v", c)
			}
		}
		if took := time.Since(began); took > busy(time.Second) {
			t.Errorf("closed after %v", took)
		}
		there.refresh(t, second.Refresh).is(t, 401, "token_revoked")
		there.connect(t, dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", second.Access}}).refusal(t, 4001, "token_revoked")
	}
}

// A device is a client that stays the same from socket to socket: it resumes, and
// sends again what is not acknowledged.
type device struct {
	user   room.UserID
	socket *socket
	said   int
	acked  map[string]int64 // by client_message_id, which is the text too
	heard  []saying
}

// on connects to a replica, in the place of wherever the device was.
func (d *device) on(t *testing.T, r *replica) {
	t.Helper()
	d.leave(t)
	d.socket = r.room(t, "/ws/chat/1/2/", d.user, url.Values{"since": {strconv.Itoa(len(d.heard))}})
	d.socket.want(t, "connected")
	for n := range d.said {
		if id := d.id(n); d.acked[id] == 0 {
			d.socket.say(t, id, id)
		}
	}
}

// leave hangs up. What came before counts.
func (d *device) leave(t *testing.T) {
	t.Helper()
	if d.socket == nil {
		return
	}
	_ = d.socket.conn.CloseNow()
	for g := range d.socket.frames {
		d.take(t, g)
	}
}

func (d *device) id(n int) string { return "u" + strconv.Itoa(int(d.user)) + "-" + strconv.Itoa(n) }

func (d *device) say(t *testing.T, n int) {
	t.Helper()
	for range n {
		id := d.id(d.said)
		d.said++
		d.socket.say(t, id, id)
	}
}

// settle waits until all is acknowledged.
func (d *device) settle(t *testing.T) {
	t.Helper()
	for len(d.acked) < d.said {
		d.take(t, d.socket.next(t))
	}
}

func (d *device) take(t *testing.T, g got) {
	t.Helper()
	switch g.Type {
	case "ack":
		if seq := d.acked[g.ClientMessageID]; seq != 0 && seq != g.Seq {
			t.Errorf("%s was acknowledged as %d, and now as %s", g.ClientMessageID, seq, g.raw)
		}
		d.acked[g.ClientMessageID] = g.Seq
	case "chat_message":
		if g.Seq != int64(len(d.heard))+1 {
			t.Fatalf("user %d got seq %d after %d", d.user, g.Seq, len(d.heard))
		}
		d.heard = append(d.heard, g.saying())
	case "resumed":
		if g.Reset {
			t.Errorf("reset: %s", g.raw)
		}
	default:
		t.Fatalf("user %d got %s", d.user, g.raw)
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
			d.take(t, d.socket.next(t))
		}
	}
}
