package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestWhatIsAcknowledgedIsStoredAndReachesEverySocketOnceInOrder(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.NoRateLimit)
	const each = 150
	senders := []*world.Socket{a.Chat(t, world.Customer), b.Chat(t, world.Customer), a.Chat(t, world.Therapist), b.Chat(t, world.Therapist)}
	watchers := []*world.Socket{a.Chat(t, world.Support), b.Chat(t, world.Support)}
	type outcome struct {
		acks  map[string]world.Frame
		heard []world.Message
	}
	outcomes := make([]outcome, len(senders))
	var sending sync.WaitGroup
	for i, s := range senders {
		sending.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d-%d", i, n)
				s.Say(t, "text-"+id, id)
			}
		})
	}
	sending.Wait()
	for i, s := range senders {
		acks := map[string]world.Frame{}
		var heard []world.Message
		for len(acks) < each || len(heard) < each*len(senders) {
			switch g := s.Next(t); g.Type {
			case "ack":
				if _, twice := acks[g.ClientMessageID]; twice || g.Duplicate {
					t.Fatalf("acknowledged twice: %s", g.Raw)
				}
				acks[g.ClientMessageID] = g
			case "chat_message":
				if g.Seq != int64(len(heard))+1 {
					t.Fatalf("socket %d got seq %d after %d", i, g.Seq, len(heard))
				}
				heard = append(heard, g.ChatMessage())
			case "delivered", "read", "presence":
			default:
				t.Fatalf("unexpected: %s", g.Raw)
			}
		}
		outcomes[i] = outcome{acks: acks, heard: heard}
	}
	all := w.Messages(t)
	if len(all) != each*len(senders) {
		t.Fatalf("%d messages are stored, want %d", len(all), each*len(senders))
	}
	for i, o := range outcomes {
		world.ExpectSame(t, "sender "+strconv.Itoa(i), o.heard, all)
		last := int64(0)
		for n := range each {
			id := fmt.Sprintf("%d-%d", i, n)
			ack := o.acks[id]
			if s := all[ack.Seq-1]; s.ID != ack.ID || s.Text != "text-"+id {
				t.Fatalf("acknowledged %s, stored %+v", ack.Raw, s)
			}
			if ack.Seq <= last {
				t.Fatalf("one socket's messages changed their order: %d after %d", ack.Seq, last)
			}
			last = ack.Seq
		}
	}
	for i, s := range watchers {
		world.ExpectSame(t, "watcher "+strconv.Itoa(i), s.ExpectMessages(t, 0, len(all)), all)
		s.ExpectNothing(t)
	}
}

func TestSendingAgainIsNeverASecondMessage(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.NoRateLimit)
	sockets := []*world.Socket{a.Chat(t, world.Customer), b.Chat(t, world.Customer), a.Chat(t, world.Customer), b.Chat(t, world.Customer)}
	other := b.Chat(t, world.Therapist)
	// All devices send the same id at once, each with another text, and then again.
	const ids = 20
	for round := range 2 {
		var sending sync.WaitGroup
		for i, s := range sockets {
			sending.Go(func() {
				for n := range ids {
					s.Say(t, fmt.Sprintf("text-%d-%d", i, round), fmt.Sprintf("id-%d", n))
				}
			})
		}
		sending.Wait()
	}
	// The same ids from the other side are other messages.
	for n := range ids {
		other.Say(t, "reply", fmt.Sprintf("id-%d", n))
	}
	acked := map[string]world.Frame{}
	fresh := 0
	for _, s := range sockets {
		for n := 0; n < 2*ids; {
			g := s.Next(t)
			if g.Type != "ack" {
				continue
			}
			n++
			if first, ok := acked[g.ClientMessageID]; ok && (first.ID != g.ID || first.Seq != g.Seq || first.Timestamp != g.Timestamp) {
				t.Errorf("one id, two messages: %s and %s", first.Raw, g.Raw)
			}
			acked[g.ClientMessageID] = g
			if !g.Duplicate {
				fresh++
			}
		}
	}
	if fresh != ids || len(acked) != ids {
		t.Errorf("%d acks said that the message was new, want one for each of %d ids", fresh, ids)
	}
	all := w.Messages(t)
	if len(all) != 2*ids {
		t.Fatalf("%d messages are stored, want %d", len(all), 2*ids)
	}
	world.ExpectSame(t, "the therapist", other.ExpectMessages(t, 0, 2*ids), all)
}

func TestResumeWhileMessagesKeepFlowing(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.NoRateLimit)
	sender := a.Chat(t, world.Customer)
	const before = 250 // more than two pages of the store
	for n := range before {
		sender.Say(t, "old", strconv.Itoa(n))
	}
	sender.ExpectMessages(t, 0, before)

	ctx, stop := context.WithCancel(t.Context())
	var flowing sync.WaitGroup
	flowing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			sender.Say(t, "new", "n"+strconv.Itoa(n))
			sender.Find(t, "ack")
		}
	})
	defer flowing.Wait()
	defer stop()
	t.Run("each", func(t *testing.T) {
		for name, c := range map[string]struct {
			since string
			first int64 // the first seq that is to come; 0: what follows connected's last_seq
			reset bool
		}{
			"since 0":         {"0", 1, false},
			"since the midst": {"100", 101, false},
			"since the head":  {"head", 0, false},
			"beyond":          {"1000000000000", 0, true},
			"without since":   {"", 0, false},
		} {
			for replica, r := range map[string]*world.Replica{"same": a, "other": b} {
				// One after the other: until parallel ones get their turn the messages would flow
				// for as long as the other tests take.
				t.Run(name+" on the "+replica+" replica", func(t *testing.T) {
					q := url.Values{}
					if c.since != "" {
						q.Set("since", c.since)
					}
					if c.since == "head" {
						q.Set("since", strconv.FormatInt(world.Query[int64](t, w, "SELECT max(seq) FROM roomspa.messages"), 10))
					}
					s := r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", q)
					last := *s.Expect(t, "connected").LastSeq
					if last < before {
						t.Fatalf("last_seq is %d, want %d or more", last, before)
					}
					first := c.first
					switch {
					case c.since == "head":
						n, _ := strconv.ParseInt(q.Get("since"), 10, 64)
						first = n + 1
					case first == 0:
						first = last + 1
					}
					s.ExpectMessages(t, first-1, int(last-first+1))
					if c.since != "" {
						g := s.Expect(t, "resumed")
						if g.FromSeq != first || g.ToSeq != last || g.Reset != c.reset {
							t.Errorf("resumed: %s, want from %d to %d, reset %v", g.Raw, first, last, c.reset)
						}
					}
					s.ExpectMessages(t, last, 20) // and what is said since
				})
			}
		}
	})
}

// Whatever Redis does, open sockets stay, what they send is acknowledged, and
// nothing goes by a side door.
func TestTwoSocketsOfOneReplicaHearNothingFromEachOtherWithoutRedis(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	r := w.Ready(t, "a", world.NoRateLimit)
	from, to := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	position := r.Location(t, world.Therapist)
	from.Say(t, "0", "m0")
	from.ExpectMessages(t, 0, 1)
	to.ExpectMessages(t, 0, 1)

	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	r.WaitUnready(t, "channel_layer")
	if status, _, _ := world.Get(t, r.Ops("/livez")); status != 200 {
		t.Errorf("/livez is %d", status)
	}
	const n = 30
	for i := range n {
		from.Say(t, strconv.Itoa(i), "down-"+strconv.Itoa(i))
	}
	seen := map[string]int{}
	for len(seen) < n {
		g := from.Next(t)
		if g.Type == "ack" && g.ClientMessageID != "m0" {
			seen[g.ClientMessageID]++
		} else if g.Type != "ack" {
			t.Fatalf("without Redis the sender got %s", g.Raw)
		}
	}
	to.ExpectNothing(t)
	from.ExpectNothing(t)
	position.Send(t, `{"latitude":1,"longitude":2}`)
	position.ExpectError(t, "channel_layer_unavailable", "")
	if lines := r.Log.About(from.Ref()); strings.Count(lines, "Published to group") != 1 || !strings.Contains(lines, "level=ERROR msg=\"[ChatConsumer] Failed to publish to group chat_1_2: ") {
		t.Errorf("the log says that something was published, or not why it was not:\n%s", lines)
	}
	for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
		r.ConnectAs(t, world.Customer, path, nil).ExpectRefusal(t, 1011, "channel_layer_unavailable")
	}
	to.ExpectNothing(t)

	if err := w.Redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	from.ExpectMessages(t, 1, n)
	to.ExpectMessages(t, 1, n)
	from.ExpectNothing(t)
	to.ExpectNothing(t)
	r.WaitReady(t)
	position.Send(t, `{"latitude":3,"longitude":4}`)
	if g := position.Expect(t, "location_update"); *g.Latitude != 3 {
		t.Errorf("what was refused came after all: %s", g.Raw)
	}
}

func TestAStalledRedisAnswersEveryHandshakeInTime(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	r := w.Ready(t, "a")
	open := r.Chat(t, world.Customer)
	limit := 5*time.Second + allowance(t, r, 50)
	if err := w.Redis.Pause(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		path := []string{"/ws/chat/1/2/", "/ws/location/1/2/"}[i%2] // the first is subscribed already
		user := world.Customer
		if i%4 > 1 {
			path, user = "/ws/chat/3/4/", world.OtherCustomer
		}
		all.Go(func() {
			s := r.ConnectAs(t, user, path, nil)
			s.ExpectRefusal(t, 1011, "channel_layer_unavailable")
			if age := r.WaitDisconnected(t, s).Age; age > limit { // as the server measured it
				t.Errorf("a refusal took %v, more than %v", age, limit)
			}
		})
	}
	all.Wait()
	open.Say(t, "while stalled", "m1")
	open.Find(t, "ack")
	if err := w.Redis.Resume(); err != nil {
		t.Fatal(err)
	}
	r.WaitReady(t)
	open.ExpectMessages(t, 0, 1)
	r.Chat(t, world.Therapist)
}

func TestASubscriptionThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	a, b := w.Pair(t, world.NoRateLimit)
	from, to := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	ctx, stop := context.WithCancel(t.Context())
	sent := 0
	var flowing sync.WaitGroup
	flowing.Go(func() {
		for ctx.Err() == nil {
			from.Say(t, strconv.Itoa(sent), strconv.Itoa(sent))
			from.Find(t, "ack")
			sent++
		}
	})
	admin := w.RedisClient(t)
	for range 3 {
		before := a.Metric(t, "roomspa_resubscriptions_total") + b.Metric(t, "roomspa_resubscriptions_total")
		killed, err := admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
		if err != nil || killed < 2 {
			t.Fatalf("killed %d connections: %v", killed, err)
		}
		world.Eventually(t, "both are subscribed again", func() (bool, any) {
			n := a.Metric(t, "roomspa_resubscriptions_total") + b.Metric(t, "roomspa_resubscriptions_total") - before
			return n >= 2, n
		})
	}
	stop()
	flowing.Wait()
	to.ExpectMessages(t, 0, sent)
	to.ExpectNothing(t)
}

// A lost last message leaves no hole behind it: only the new subscription can know.
func TestAReplicaThatWasCutOffLooksForWhatItHasMissedAtOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	far := w.BehindProxies(t)
	a, b := w.Ready(t, "a", world.NoRateLimit), far.Ready(t, "b", world.NoRateLimit)
	from, to := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	for n := range 3 {
		far.ToRedis.Cut()
		b.WaitUnready(t, "channel_layer")
		from.Say(t, "missed", strconv.Itoa(n))
		from.ExpectMessages(t, int64(n), 1) // it is published, and b has not heard it
		to.ExpectNothing(t)
		far.ToRedis.Heal()
		b.WaitReady(t)
		to.ExpectMessages(t, int64(n), 1)
	}
}

func TestSubscribeForbiddenIsToldByReadyz(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	admin := w.RedisClient(t)
	rules := func(rules ...any) {
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "replica"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rules("on", ">an ordinary password", "~*", "&*", "+@all")
	w.RedisURL = "redis://replica:an%20ordinary%20password@" + w.Redis.Addr() + "/0"
	r := w.Ready(t, "a")
	s := r.Chat(t, world.Customer)

	rules("-subscribe", "-psubscribe", "-ssubscribe")
	if _, err := admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil {
		t.Fatal(err)
	}
	why := ""
	world.Eventually(t, "/readyz says that SUBSCRIBE is forbidden", func() (bool, any) {
		status, answer := r.Readyz(t)
		why = world.Finding(answer, "channel_layer").Error
		return status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(why), "subscribe") && strings.Contains(why, "NOPERM"), answer
	})
	if strings.Contains(why, "an ordinary password") {
		t.Errorf("/readyz tells the password: %q", why)
	}
	_, answer := r.Readyz(t)
	if f := world.Finding(answer, "redis"); !f.OK {
		t.Errorf("PING works, and /readyz says %+v", f)
	}
	if f := world.Finding(answer, "postgres"); !f.OK {
		t.Errorf("Postgres works, and /readyz says %+v", f)
	}
	if status, _, _ := world.Get(t, r.Ops("/livez")); status != 200 {
		t.Errorf("/livez is %d", status)
	}
	s.Say(t, "meanwhile", "m1")
	s.Expect(t, "ack")
	r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1011, "channel_layer_unavailable")

	rules("+subscribe", "+psubscribe", "+ssubscribe")
	r.WaitReady(t)
	s.ExpectMessages(t, 0, 1)
	r.Chat(t, world.Therapist)
}

func TestWithoutPostgresNothingIsAcknowledgedAndLocationGoesOn(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnPostgres)
	r := w.Ready(t, "a", world.NoRateLimit, world.DefaultTimeouts)
	from, to := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	position, follower := r.Location(t, world.Therapist), r.Location(t, world.Customer)
	from.Say(t, "0", "m0")
	from.ExpectMessages(t, 0, 1)
	to.ExpectMessages(t, 0, 1)

	limit := 10*time.Second + allowance(t, r, 1)
	seq := int64(1)
	outage := func(t *testing.T, name string, begin, end func() error) {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
		last := "id-" + name
		expectWithin(t, name+": an error frame", limit, func() {
			from.Say(t, name, last)
			f := from.Next(t)
			for ; f.Type != "error"; f = from.Next(t) {
				if f.Type == "ack" && f.ClientMessageID == last {
					t.Fatalf("%s: what is not committed is acknowledged: %s", name, f.Raw)
				}
			}
			if f.Code != "database_unavailable" || f.ClientMessageID != last || f.Close != 0 || f.Ref != from.Ref() {
				t.Errorf("%s: a send is answered with %s", name, f.Raw)
			}
		})
		position.Send(t, `{"latitude":1,"longitude":2}`)
		follower.Expect(t, "location_update")
		position.Expect(t, "location_update")
		expectWithin(t, name+": a refusal", limit, func() {
			r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1011, "database_unavailable")
		})
		r.WaitUnready(t, "postgres")
		to.ExpectNothing(t)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		r.WaitReady(t)
		from.Deliver(t, name, last)
		to.ExpectMessages(t, seq, 1)
		seq++
		r.WaitAdmitted(t)
	}
	outage(t, "stopped", w.Postgres.Kill, func() error { return w.Postgres.Restart(t.Context()) })
	outage(t, "stalled", w.Postgres.Pause, w.Postgres.Resume)
	to.ExpectNothing(t)
	if all := w.Messages(t); len(all) != 3 {
		t.Errorf("stored: %+v, want three messages", all)
	}
}

func TestACommitWhoseAnswerIsLostIsNoSecondMessage(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	far := w.BehindProxies(t)
	r := far.Ready(t, "a", world.NoRateLimit, world.DefaultTimeouts)
	from, to := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)

	warm := 0
	for {
		// Now a connection is at hand that knows the statements and is used without a check.
		warm++
		from.Deliver(t, "warm", "warm"+strconv.Itoa(warm))
		far.ToPostgres.StallDown() // the commit happens, its answer is not seen
		from.Say(t, "lost", "m1")
		if f := from.Find(t, "error"); f.Code != "database_unavailable" || f.ClientMessageID != "m1" {
			t.Errorf("answered with %s", f.Raw)
		}
		if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n > warm {
			break
		} else if warm == 20 {
			t.Fatalf("it was never committed: %d messages", n)
		}
		far.ToPostgres.Heal() // it was checked all the same, or was a new one
		r.WaitReady(t)
	}
	far.ToPostgres.Heal()
	// It was never acknowledged and never published, and yet it is stored: everybody has to see it.
	to.ExpectMessages(t, 0, warm+1)
	r.WaitReady(t)
	if ack := from.Deliver(t, "lost, and sent again", "m1"); !ack.Duplicate || ack.Seq != int64(warm+1) {
		t.Errorf("sent again it is acknowledged with %s", ack.Raw)
	}
	to.ExpectNothing(t)
	if all := w.Messages(t); len(all) != warm+1 || all[warm].Text != "lost" {
		t.Errorf("stored: %+v", all)
	}
}
