package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// A desk is one consumer between a store and a layer that a test steers: what the
// real ones cannot be made to do on the spot.
type desk struct {
	t    *testing.T
	chat *Chat
	s    *Consumer
	log  logging.Conn
	reg  *prometheus.Registry

	account budget.Account

	mu        sync.Mutex
	id        room.ID // of the conversation
	stored    []room.Message
	timeline  byte // second byte of the ids of new messages
	loads     int
	failLoad  error
	onLoad    func() // called in each Conversation, after it has read
	reads     int    // calls of After
	rows      int    // that After has read
	pages     int    // calls of Before
	failRead  error
	failWrite error
	down      error
	published []event.Body
	cursors   map[room.UserID]room.Cursor
	marks     []string // calls of Mark
	dropped   int      // calls of Reset
	woken     int
}

func (d *desk) Conversation(context.Context, room.Room, room.UserID) (room.Conversation, error) {
	d.mu.Lock()
	d.loads++
	c, err, onLoad := room.Conversation{ID: d.id, FirstSeq: 1, LastSeq: int64(len(d.stored)), Customer: d.cursors[1], Therapist: d.cursors[2]}, d.failLoad, d.onLoad
	d.mu.Unlock()
	if onLoad != nil {
		onLoad()
	}
	return c, err
}

func (d *desk) Append(_ context.Context, c room.ID, m room.Draft) (room.Message, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failWrite != nil {
		return room.Message{}, false, d.failWrite
	}
	if c != d.id {
		return room.Message{}, false, room.ErrNotFound
	}
	for _, old := range d.stored {
		if m.ClientMessageID != "" && old.ClientMessageID == m.ClientMessageID {
			return old, true, nil
		}
	}
	return d.store(c, m), false, nil
}

func (d *desk) store(c room.ID, m room.Draft) room.Message {
	n := int64(len(d.stored) + 1)
	stored := room.Message{
		ID: room.ID{byte(n), d.timeline}, Conversation: c, Seq: n, Sender: m.Sender, SenderRole: m.SenderRole,
		Text: m.Text, ClientMessageID: m.ClientMessageID, At: time.Unix(n, 0),
	}
	d.stored = append(d.stored, stored)
	return stored
}

func (d *desk) After(_ context.Context, c room.ID, seq int64, limit, size int) ([]room.Message, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	if d.failRead != nil || c != d.id {
		return nil, false, d.failRead
	}
	rest := d.stored[min(int(seq), len(d.stored)):]
	n := 0
	for n < min(limit, len(rest)) && (n == 0 || size >= len(rest[n].Text)) {
		size -= len(rest[n].Text)
		n++
	}
	d.rows += min(limit, len(rest))
	return slices.Clone(rest[:n]), n < len(rest) || n == limit, nil
}

func (d *desk) Before(_ context.Context, c room.ID, seq int64, limit, _ int) ([]room.Message, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pages++
	if c != d.id || d.failRead != nil {
		return nil, false, d.failRead
	}
	end := len(d.stored)
	if seq > 0 {
		end = int(seq) - 1
	}
	return slices.Clone(d.stored[max(0, end-limit):end]), end > limit, nil
}

func (d *desk) Tails(context.Context, time.Duration) (map[room.ID]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return map[room.ID]int64{d.id: int64(len(d.stored))}, d.failRead
}

func (d *desk) ChangedCursors(context.Context, time.Duration) ([]room.Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []room.Receipt
	for user, c := range d.cursors {
		found = append(found, room.Receipt{Conversation: d.id, User: user, Cursor: c})
	}
	return found, d.failRead
}

func (d *desk) CursorsOf(ctx context.Context, _ []room.ID) ([]room.Receipt, error) {
	return d.ChangedCursors(ctx, 0)
}

// Mark stores a mark at once, and announces nothing.
func (d *desk) Mark(t receipt.Target, c room.Cursor, done func(room.Cursor, error)) {
	d.mu.Lock()
	d.marks = append(d.marks, fmt.Sprintf("%d: %d %d", t.User, c.Delivered, c.Read))
	err := d.failWrite
	if c = c.Advanced(room.Cursor{}); c.Delivered > int64(len(d.stored)) {
		err = receipt.ErrBeyond
	}
	if err == nil {
		d.cursors[t.User] = d.cursors[t.User].Advanced(c)
	}
	c = d.cursors[t.User]
	d.mu.Unlock()
	if done != nil {
		done(c, err)
	}
}

func (d *desk) Reset() { d.set(func() { d.dropped++ }) }

func (d *desk) Join(context.Context, string, func(event.Event), func(bool)) (func(), error) {
	return func() {}, nil
}

func (d *desk) Publish(_ string, body event.Body, done func(error)) {
	d.mu.Lock()
	err := d.down
	if err == nil {
		d.published = append(d.published, body)
	}
	d.mu.Unlock()
	done(err)
}

func (d *desk) Health() (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Time{}, d.down
}

func (d *desk) Wake() {
	d.mu.Lock()
	d.woken++
	d.mu.Unlock()
}

func (d *desk) Log() *logging.Conn { return &d.log }

func (d *desk) Renew(string) error { return nil }

func (d *desk) PausePings(time.Duration) {}
func (d *desk) Account() *budget.Account { return &d.account }

// consumer returns a consumer of the user in the room of customer 1 and therapist 2.
func (d *desk) consumer(u *room.User, q url.Values) *Consumer {
	return d.chat.newConsumer(endpoint.Peer{User: u, IDs: []room.UserID{1, 2}, Query: q, Group: "chat_1_2", Socket: d})
}

// set changes what the store and the layer do.
func (d *desk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// say stores messages, as another replica would.
func (d *desk) say(n int) {
	d.set(func() {
		for range n {
			d.store(d.id, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: fmt.Sprintf("text %d", len(d.stored)+1)})
		}
	})
}

// hear delivers stored messages over the channel layer.
func (d *desk) hear(seqs ...int64) {
	for _, seq := range seqs {
		d.s.deliver(asEvent(newEvent(&d.stored[seq-1])))
	}
}

// asEvent returns the event as the channel layer delivers it.
func asEvent(b event.Body) event.Event {
	return event.Event{Kind: b.Kind(), At: time.Now(), Body: b.AppendTo(nil)}
}

// newDesk returns a desk whose conversation has messages, and no consumer.
func newDesk(t *testing.T, before int) *desk {
	t.Helper()
	d := &desk{t: t, id: room.ID{1}, cursors: map[room.UserID]room.Cursor{}, log: logging.Conn{Log: logging.New(t.Output(), logging.Options{}), Ref: "r"}}
	d.say(before)
	d.reg = prometheus.NewRegistry()
	d.chat = New(Options{MaxMessageLength: 10}, d, d, d, d.reg)
	return d
}

// inBubble opens a consumer with the given since, and takes its connected frame.
func inBubble(t *testing.T, before int, since *int64, test func(*desk)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, before)
		q := url.Values{}
		if since != nil {
			q.Set("since", strconv.FormatInt(*since, 10))
		}
		d.s = d.consumer(&room.User{ID: 1, Role: room.Customer}, q)
		if err := errors.Join(d.s.Join(t.Context()), d.s.Open(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := d.next(); !strings.HasPrefix(got, fmt.Sprintf("connected %d", before)) {
			t.Fatalf("first came %q", got)
		}
		test(d)
		d.s.Closed()
	})
}

// take takes one frame. It waits for a read of the store.
func (d *desk) take() (frame.Message, error) {
	for {
		woken := d.wakes()
		m, err := d.s.Next(d.t.Context())
		if m.Data != nil || err != nil {
			return m, err
		}
		if synctest.Wait(); d.wakes() == woken {
			return m, nil
		}
	}
}

// next takes one frame, in short: its type, and its seq or code. It returns ""
// where there is none.
func (d *desk) next() string {
	d.t.Helper()
	m, err := d.take()
	if c, ok := errors.AsType[*frame.Close](err); ok {
		return "close " + c.Reason
	}
	if m.Data == nil {
		return ""
	}
	var f struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Seq     int64  `json:"seq"`
		LastSeq int64  `json:"last_seq"`
		From    int64  `json:"from_seq"`
		To      int64  `json:"to_seq"`
		Reset   bool   `json:"reset"`
		ID      string `json:"client_message_id"`
	}
	if err := json.Unmarshal(m.Data, &f); err != nil {
		d.t.Fatalf("frame %s: %v", m.Data, err)
	}
	switch f.Type {
	case "chat_message":
		return fmt.Sprint(f.Seq)
	case "connected":
		return fmt.Sprintf("connected %d", f.LastSeq)
	case "resumed":
		if f.LastSeq != f.To {
			d.t.Errorf("last_seq is %d: %s", f.LastSeq, m.Data)
		}
		return strings.TrimSuffix(fmt.Sprintf("resumed %d-%d reset=%t", f.From, f.To, f.Reset), " reset=false")
	case "error":
		return strings.TrimSpace("error " + f.Code + " " + f.ID)
	default:
		return fmt.Sprintf("%s %d", f.Type, f.Seq)
	}
}

// want takes frames until there is none, and compares.
func (d *desk) want(frames ...string) {
	d.t.Helper()
	var got []string
	for f := d.next(); f != ""; f = d.next() {
		if got = append(got, f); strings.HasPrefix(f, "close") {
			break
		}
	}
	if !slices.Equal(got, frames) {
		d.t.Fatalf("got %q, want %q", got, frames)
	}
}

func TestLiveMessagesComeInOrderAndOnce(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(1, 2, 2, 1, 3)
		d.want("1", "2", "3")
		if d.reads != 0 {
			t.Fatalf("the store was read %d times for nothing", d.reads)
		}
	})
}

func TestSmallHoleIsGivenTimeToClose(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(1, 3)
		d.want("1")
		time.Sleep(holeWait / 2) // of the bubble's clock
		d.hear(2)
		d.want("2", "3")
		if d.reads != 0 {
			t.Fatal("the store was asked although the message was on its way")
		}
	})
}

func TestHoleThatStaysIsFilledFromTheStore(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(4)
		d.hear(1, 4)
		d.want("1")
		woken := d.woken
		time.Sleep(holeWait + time.Millisecond)
		synctest.Wait()
		if d.woken == woken {
			t.Fatal("nobody looks again")
		}
		d.want("2", "3", "4")
		d.hear(2, 3) // late
		d.want()
	})
}

func TestManyMessagesBehindAHoleEndTheWait(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(20)
		for seq := range int64(holeFrames) {
			d.hear(seq + 2)
		}
		if got := d.next(); got != "1" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestStoreThatFailsIsAskedAgainWithGrowingPauses(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.failRead = room.ErrUnavailable })
		d.say(2)
		d.hear(2)
		began := time.Now()
		for time.Since(began) < time.Minute {
			d.want()
			time.Sleep(20 * time.Millisecond)
		}
		if d.reads < 10 || d.reads > 60 {
			t.Fatalf("asked %d times in a minute", d.reads)
		}
		d.set(func() { d.failRead = nil })
		time.Sleep(maxRetry)
		d.want("1", "2")
	})
}

func TestNothingComesThroughASideDoor(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.down = errors.New("redis is away") })
		d.say(3)
		d.s.catchUp(3)
		time.Sleep(time.Minute)
		d.want()
		if d.reads != 0 {
			t.Fatal("the store was read while Redis was away")
		}
		d.set(func() { d.down = nil })
		d.s.missed(false)
		d.want("1", "2", "3")
	})
}

func TestResume(t *testing.T) {
	for name, c := range map[string]struct {
		before int
		since  int64
		want   []string
	}{
		"from the beginning":           {3, 0, []string{"1", "2", "3", "resumed 1-3"}},
		"from the middle":              {3, 2, []string{"3", "resumed 3-3"}},
		"with nothing missed":          {3, 3, []string{"resumed 4-3"}},
		"of an empty conversation":     {0, 0, []string{"resumed 1-0"}},
		"beyond what the store has":    {3, 9, []string{"resumed 4-3 reset=true"}},
		"of more than a page of store": {maxRows + 1, maxRows - 1, []string{fmt.Sprint(maxRows), fmt.Sprint(maxRows + 1), fmt.Sprintf("resumed %d-%d", maxRows, maxRows+1)}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.before, &c.since, func(d *desk) { d.want(c.want...) })
		})
	}
}

func TestAPageOfLongMessagesIsKeptInPart(t *testing.T) {
	since := int64(0)
	inBubble(t, 6, &since, func(d *desk) {
		d.set(func() {
			for i := range d.stored {
				d.stored[i].Text = strings.Repeat("a", replayBytes/2-1)
			}
			d.stored[3].Text = strings.Repeat("a", 2*replayBytes)
		})
		for seq := 1; seq <= 6; seq++ {
			if got := d.next(); got != fmt.Sprint(seq) {
				t.Fatalf("got %q, want %d", got, seq)
			}
			size := 0
			for _, m := range d.s.replay {
				size += len(m.Text)
			}
			if size > replayBytes {
				t.Fatalf("%d bytes are kept after message %d", size, seq)
			}
		}
		d.want("resumed 1-6")
	})
}

func TestAnAckWaitsForItsMessageAndNotForLong(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		before := d.woken
		receive(d, `{"message":"hi"}`)
		if d.woken != before {
			t.Fatal("the ack did not wait for its message")
		}
		d.hear(1)
		if d.woken == before {
			t.Fatal("the message did not wake the writer")
		}
		d.want("ack 1", "1")
		before = d.woken
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if d.woken != before {
			t.Fatal("woken although both are out")
		}
		receive(d, `{"message":"hi"}`) // nothing comes over the channel layer
		time.Sleep(ackDelay)           //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if d.woken != before+1 {
			t.Fatalf("woken %d times for an ack whose message does not come", d.woken-before)
		}
		d.want("ack 2")
		d.set(func() { d.down = errors.New("away") })
		receive(d, `{"message":"hi"}`)
		d.want("ack 3")
	})
}

func TestLiveMessagesWaitForTheReplay(t *testing.T) {
	since := int64(0)
	inBubble(t, 2, &since, func(d *desk) {
		d.say(2)
		d.hear(4, 3)
		d.want("1", "2", "resumed 1-2", "3", "4")
	})
}

func TestReaderThatIsTooFarBehindHasToResume(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(maxBehind + 10)
		for seq := range int64(maxBehind + 2) {
			d.hear(seq + 1)
		}
		d.want("close slow_consumer")
	})
}

func TestReaderThatIsTooLateHasToResume(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(1, 2, 3)
		if got := d.next(); got != "1" {
			t.Fatalf("got %q", got)
		}
		time.Sleep(maxBehindFor + time.Second) // the writer is stuck with the first one
		d.want("close slow_consumer")
	})
}

func TestOutageIsNotTheReadersFault(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.down = errors.New("redis is away") })
		n := 3 * maxBehind
		d.say(n)
		d.s.catchUp(int64(n))
		d.want()
		time.Sleep(time.Hour)
		d.set(func() { d.down = nil })
		d.s.missed(false)
		for seq := range n {
			if got := d.next(); got != fmt.Sprint(seq+1) {
				t.Fatalf("got %q, want %d", got, seq+1)
			}
		}
		d.want()
	})
}

func receive(d *desk, text string) {
	d.t.Helper()
	if err := d.s.Receive(d.t.Context(), frame.Message{Data: []byte(text)}); err != nil {
		d.t.Fatal(err)
	}
}

func TestSendIsStoredAcknowledgedAndPublished(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		receive(d, `{"message":"hi","client_message_id":"a"}`)
		receive(d, `{"message":"other words","client_message_id":"a"}`) // too long: refused before it is found to be a repeat
		receive(d, `{"message":"hi again","client_message_id":"a"}`)
		d.want("ack 1", "error too_long a", "ack 1")
		if len(d.stored) != 1 || len(d.published) != 2 {
			t.Fatalf("%d stored, %d published: a repeat is one message, published again", len(d.stored), len(d.published))
		}
		d.s.deliver(asEvent(d.published[0]))
		d.s.deliver(asEvent(d.published[1]))
		d.want("1")
	})
}

func TestNothingIsAcknowledgedThatIsNotCommitted(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.failWrite = errors.Join(room.ErrUnavailable, room.ErrOutcomeUnknown) })
		receive(d, `{"message":"hi","client_message_id":"a"}`)
		d.want("error database_unavailable a")
		if len(d.published) != 0 {
			t.Fatal("published what may not be stored")
		}
		select {
		case <-d.chat.sweepNow:
		default:
			t.Fatal("nobody looks whether it was stored after all")
		}
	})
}

func TestStoredMessageThatRedisDoesNotTakeIsLookedFor(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.down = room.ErrUnavailable })
		receive(d, `{"message":"hi"}`)
		d.want("ack 1")
		select {
		case <-d.chat.sweepNow:
		default:
			t.Fatal("the failed publish raised no doubt")
		}
	})
}

func TestFloodWithoutReadingEndsTheSocket(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		for range 100_000 {
			if err := d.s.Receive(d.t.Context(), frame.Message{Data: []byte(`{"type":"nonsense"}`)}); err != nil {
				if c, ok := errors.AsType[*frame.Close](err); !ok || c.Reason != "slow_consumer" {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatal("answers pile up without bound")
	})
}
