package event_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// key returns a master key that only the tests use.
func key(n byte) event.Key {
	return event.Key{ID: event.KeyID{0, 0, 0, n}, Secret: sha256.Sum256([]byte{n})}
}

func deployment(keys ...event.Key) event.Deployment {
	return event.Deployment{ID: "00112233445566aa", Timeline: 3, Keys: keys}
}

func ring(d event.Deployment) *event.Ring {
	p := event.NewProcess()
	p.Use(d)
	return p.Ring()
}

const name = "roomspa:00112233445566aa:{7}:chat_1_2"

var at = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// bodies has one body of each kind.
var bodies = []event.Body{
	event.Unnumbered{Seq: 41, Sender: 7, Frame: []byte(`{"type":"chat_message"}`)},
	event.Probe{User: 7, Frame: []byte(`{"type":"probe"}`)},
	event.Position{User: 7, Recorded: 1_700_000_000_123, Frame: []byte(`{"type":"location_update"}`)},
	event.Heartbeat{},
	event.Load{Sockets: 12, Ready: true},
	event.Revocation{Users: []room.UserID{1, 2}},
	event.Echo{Seq: 9, Sent: time.Minute},
	event.Ticket{User: 7, Issued: at, Expires: at.Add(time.Minute), Ends: at.Add(time.Second)},
	event.Story(`{"v":1,"ref":"0123456789abcdef"}`),
	event.Failure(`{"v":1,"user":7}`),
	event.Receipt{Conversation: room.ID{1, 15: 2}, User: 7, Cursor: room.Cursor{Delivered: 41, Read: 40}},
	event.Typing{User: 7, Active: true},
	event.Presence{Users: []event.UserPresence{{User: 7, Online: true, Inbox: true}, {User: 8, LastSeen: at}}},
	event.Online{Replicas: []event.ReplicaPresence{{Replica: event.ProcessID{7}, Until: at, Inbox: true}}, LastSeen: at},
	event.Block{Blocker: 7, Blocked: 8},
	event.Inbox{Conversation: room.ID{1, 15: 2}, Room: room.Room{Customer: 7, Therapist: 8}, Seq: 41, Sender: 7, At: at.Truncate(time.Millisecond), Text: "hi"},
	event.Message{Seq: 41, Sender: 7, Number: 9_000_000, At: at.UnixMicro(), Frame: []byte(`{"type":"chat_message"}`)},
	event.ClassicPosition{Frame: []byte(`{"type": "location"}`)},
	event.Inquiry{ID: 7, What: "connections", By: "127.0.0.1", Arguments: json.RawMessage(`{"user":42}`)},
	event.Finding{To: event.ProcessID{1, 11: 2}, Inquiry: 7, Body: []byte("deflated")},
}

// TestEventsOfEachKindAreReadAsTheyWereSealed also holds the wire to recorded vectors: an
// event that an earlier build of this version has sealed can be opened.
func TestEventsOfEachKindAreReadAsTheyWereSealed(t *testing.T) {
	r := ring(deployment(key(1)))
	recorded := readVectors(t)
	for _, body := range bodies {
		sealed := r.Seal(nil, name, at, body)
		e, err := r.Open(name, sealed)
		if err != nil || e.Kind != body.Kind() || !e.At.Equal(at) {
			t.Errorf("%v: %+v, %v", body.Kind(), e, err)
			continue
		}
		if diff := cmp.Diff(body.AppendTo(nil), e.Body); diff != "" {
			t.Errorf("%v (-want +got):\n%s", body.Kind(), diff)
		}
		old, ok := recorded[body.Kind().String()]
		if !ok {
			t.Errorf("there is no vector of kind %v: record it with ROOMSPA_UPDATE=1 go test ./internal/event", body.Kind())
			continue
		}
		e, err = r.Open(name, old)
		if err != nil || !bytes.Equal(e.Body, body.AppendTo(nil)) {
			t.Errorf("the vector of kind %v: %q, %v", body.Kind(), e.Body, err)
		}
	}
	if len(recorded) != len(bodies) {
		t.Errorf("%d vectors for %d kinds", len(recorded), len(bodies))
	}
}

func TestEachKindHasABody(t *testing.T) {
	for k := range event.Kind(255) {
		has := slices.ContainsFunc(bodies, func(b event.Body) bool { return b.Kind() == k })
		if known := k.String() != "unknown"; known != has {
			t.Errorf("kind %d (%v) is in the table of kinds: %v; it has a row in bodies of this test: %v", k, k, known, has)
		}
	}
}

const vectors = "testdata/vectors.json"

// readVectors returns the recorded events by kind. With ROOMSPA_UPDATE set it records those
// of kinds that are new. A vector is never recorded again: that would hide a change of the
// wire.
func readVectors(t *testing.T) map[string][]byte {
	t.Helper()
	text := map[string]string{}
	b, err := os.ReadFile(vectors)
	if err == nil {
		err = json.Unmarshal(b, &text)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if os.Getenv("ROOMSPA_UPDATE") != "" {
		r := ring(deployment(key(1)))
		for _, body := range bodies {
			if text[body.Kind().String()] == "" {
				text[body.Kind().String()] = hex.EncodeToString(r.Seal(nil, name, at, body))
			}
		}
		b, _ = json.MarshalIndent(text, "", "  ")
		if err := os.WriteFile(vectors, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string][]byte{}
	for kind, s := range text {
		if all[kind], err = hex.DecodeString(s); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestEventsAreWorthNothingElsewhere(t *testing.T) {
	mine := deployment(key(1), key(2))
	r := ring(mine)
	body := event.Message{Seq: 41, Sender: 7, Frame: []byte("text")}
	other := func(change func(*event.Deployment)) *event.Ring {
		d := deployment(key(1), key(2))
		change(&d)
		return ring(d)
	}
	for what, open := range map[string]func(sealed []byte) error{
		"under another name": func(s []byte) error {
			_, err := r.Open(strings.Replace(name, "1_2", "1_3", 1), s)
			return err
		},
		"under a longer name": func(s []byte) error {
			_, err := r.Open(name+"0", s)
			return err
		},
		"in another deployment": func(s []byte) error {
			_, err := other(func(d *event.Deployment) { d.ID = "00112233445566ab" }).Open(name, s)
			return err
		},
		"on another timeline": func(s []byte) error {
			_, err := other(func(d *event.Deployment) { d.Timeline++ }).Open(name, s)
			return err
		},
		"without the key": func(s []byte) error {
			_, err := other(func(d *event.Deployment) { d.Keys = d.Keys[1:] }).Open(name, s)
			return err
		},
		"with another secret under the same id": func(s []byte) error {
			_, err := other(func(d *event.Deployment) { d.Keys[0].Secret[0]++ }).Open(name, s)
			return err
		},
		"cut off": func(s []byte) error {
			_, err := r.Open(name, s[:len(s)-1])
			return err
		},
		"extended": func(s []byte) error {
			_, err := r.Open(name, append(s, 0))
			return err
		},
	} {
		if err := open(r.Seal(nil, name, at, body)); !errors.Is(err, event.ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sealed := r.Seal(nil, name, at, body)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := r.Open(name, changed); !errors.Is(err, event.ErrForeign) {
			t.Errorf("with byte %d changed: %v", i, err)
		}
	}
	if _, err := r.Open(name, sealed); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// future is a body of a kind that this binary does not know.
type future struct{ kind event.Kind }

func (f future) Kind() event.Kind         { return f.kind }
func (future) AppendTo(dst []byte) []byte { return append(dst, "?"...) }

func TestEventsOfANewerVersionAreToldFromForgedOnes(t *testing.T) {
	r := ring(deployment(key(1)))
	if _, err := r.Open(name, r.Seal(nil, name, at, future{200})); !errors.Is(err, event.ErrUnknown) {
		t.Errorf("an unknown kind: %v", err)
	}
	if _, err := r.Open(name, r.Seal(nil, name, at, future{event.KindLoad})); !errors.Is(err, event.ErrBody) {
		t.Errorf("an unreadable body: %v", err)
	}
	sealed := r.Seal(nil, name, at, future{200})
	sealed[1] = byte(event.KindMessage) // a kind is not worth anything as another one
	if _, err := r.Open(name, sealed); !errors.Is(err, event.ErrForeign) {
		t.Errorf("a changed kind: %v", err)
	}
}

func TestKeysOverlapDuringARotation(t *testing.T) {
	before, during, after := ring(deployment(key(1))), ring(deployment(key(2), key(1))), ring(deployment(key(2)))
	body := event.Heartbeat{}
	for i, c := range []struct {
		from, to *event.Ring
		ok       bool
	}{{before, during, true}, {during, after, true}, {during, before, false}, {before, after, false}} {
		sealed := c.from.Seal(nil, name, at, body)
		if _, err := c.to.Open(name, sealed); (err == nil) != c.ok || c.to.Knows(sealed) != c.ok {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

func TestCountersRise(t *testing.T) {
	p := event.NewProcess()
	last := uint64(0)
	for range 3 { // also across rings, since the derived key may be the same
		p.Use(deployment(key(1)))
		for range 3 {
			e, err := p.Ring().Open(name, p.Ring().Seal(nil, name, at, event.Heartbeat{}))
			if err != nil || e.Counter <= last || e.Sender != p.ID() {
				t.Fatalf("%+v after %d: %v", e, last, err)
			}
			last = e.Counter
		}
	}
}

func TestOldEventsAreStale(t *testing.T) {
	r := ring(deployment(key(1)))
	for _, body := range bodies {
		e, err := r.Open(name, r.Seal(nil, name, at, body))
		if err != nil {
			t.Fatal(err)
		}
		expires := true
		switch body.(type) {
		case event.Message, event.Unnumbered, event.Revocation, event.Ticket, event.Story, event.Failure, event.Receipt, event.Online, event.Block, event.Inbox:
			expires = false
		}
		if e.Stale(at.Add(-31*time.Second)) != expires {
			t.Errorf("%v: from 31 s ahead: %v", e.Kind, !expires)
		}
		if e.Stale(at.Add(29*time.Second)) || e.Stale(at.Add(31*time.Second)) != expires {
			t.Errorf("%v: stale after 29 s: %v, after 31 s: %v", e.Kind, e.Stale(at.Add(29*time.Second)), e.Stale(at.Add(31*time.Second)))
		}
	}
}

func TestKeysAreNotShown(t *testing.T) {
	k := key(1)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, deployment(k)); strings.Contains(text, hex.EncodeToString(k.Secret[:4])) || strings.Contains(text, fmt.Sprint(k.Secret[0], " ", k.Secret[1])) {
			t.Errorf("%s shows the secret: %s", format, text)
		}
	}
}

func TestAnEntryOfPresenceIsReadWithoutJSON(t *testing.T) {
	replica := event.ReplicaPresence{Replica: event.ProcessID{7}, Until: at, Inbox: true}
	body := event.Online{Replicas: []event.ReplicaPresence{replica, replica}, LastSeen: at}.AppendTo(nil)
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := event.ReadOnline(body); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 {
		t.Errorf("%v allocations, want the slice of replicas only", allocations)
	}
}

// FuzzReadOnline compares the reader with encoding/json.
func FuzzReadOnline(f *testing.F) {
	replica := event.ReplicaPresence{Replica: event.ProcessID{7}, Until: at, Inbox: true}
	for _, o := range []event.Online{{}, {LastSeen: at}, {Replicas: []event.ReplicaPresence{replica}}, {Replicas: []event.ReplicaPresence{replica, {Until: at}}, LastSeen: at}} {
		f.Add(o.AppendTo(nil))
	}
	for _, text := range []string{
		`{"last_seen":"2026-01-02T03:04:05Z","replicas":null}`, `{,"last_seen":"2026-01-02T03:04:05Z"}`, `{"replicas":[]}`, `{"replicas":[],}`,
		`{"replicas":[{"replica":"070000000000000000000000","until":"2026-01-02T03:04:05Z"`, `{"last_seen":"2026\u002d01-02T03:04:05Z"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := event.ReadOnline(body)
		want, refused := event.Read[event.Online](body)
		if (err == nil) != (refused == nil) || err == nil && !cmp.Equal(got, want, cmpopts.EquateEmpty()) {
			t.Errorf("%s: %+v, %v; want %+v, %v", body, got, err, want, refused)
		}
	})
}

func FuzzOpen(f *testing.F) {
	r := ring(deployment(key(1)))
	for _, body := range bodies {
		f.Add(r.Seal(nil, name, at, body), name)
	}
	f.Fuzz(func(t *testing.T, sealed []byte, name string) {
		e, err := ring(deployment(key(1))).Open(name, bytes.Clone(sealed))
		if err == nil && e.Kind.String() == "unknown" {
			t.Errorf("%+v", e)
		}
	})
}

// FuzzBodies reads bodies that a faulty replica might seal.
func FuzzBodies(f *testing.F) {
	for _, body := range bodies {
		f.Add(byte(body.Kind()), body.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r := ring(deployment(key(1)))
		e, err := r.Open(name, r.Seal(nil, name, at, raw{event.Kind(kind), body}))
		if err != nil && !errors.Is(err, event.ErrUnknown) && !errors.Is(err, event.ErrBody) {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

type raw struct {
	kind event.Kind
	body []byte
}

func (r raw) Kind() event.Kind           { return r.kind }
func (r raw) AppendTo(dst []byte) []byte { return append(dst, r.body...) }

func BenchmarkSeal(b *testing.B) {
	r := ring(deployment(key(1)))
	var body event.Body = event.Message{Seq: 41, Sender: 7, Frame: make([]byte, 320)}
	dst := make([]byte, 0, 1024)
	for b.Loop() {
		dst = r.Seal(dst[:0], name, at, body)
	}
	b.ReportAllocs()
}

func BenchmarkOpen(b *testing.B) {
	r := ring(deployment(key(1)))
	sealed := r.Seal(nil, name, at, event.Message{Seq: 41, Sender: 7, Frame: make([]byte, 320)})
	work := make([]byte, len(sealed))
	for b.Loop() {
		copy(work, sealed) // it is opened in place
		if _, err := r.Open(name, work); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}
