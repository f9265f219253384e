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

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

// fast lifts the rate limit, which these tests are not about.
func fast(o *app.Options) { o.MessageRate, o.MessageBurst = 100_000, 100_000 }

// A saying is a message as a socket or the store has it.
type saying struct {
	Seq    int64
	ID     string
	Sender int64
	Text   string
}

func (g got) saying() saying { return saying{g.Seq, g.ID, g.SenderID, g.Message} }

// stored returns the only conversation's messages by seq.
func stored(t testing.TB, w *world) []saying {
	t.Helper()
	texts := query[[]string](t, w, `SELECT coalesce(array_agg(seq || '|' || id || '|' || sender_id || '|' || body ORDER BY seq), '{}') FROM roomspa.messages`)
	list := make([]saying, len(texts))
	for i, text := range texts {
		var s saying
		if _, err := fmt.Sscanf(text, "%d|%36s|%d|%s", &s.Seq, &s.ID, &s.Sender, &s.Text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		list[i] = s
	}
	return list
}

// hears takes n messages, which must be in order without a hole after seq, and
// returns them. Acks and pongs in between are passed over.
func (s *socket) hears(t testing.TB, after int64, n int) []saying {
	t.Helper()
	var list []saying
	for len(list) < n {
		g := s.next(t)
		switch g.Type {
		case "ack", "pong":
			continue
		case "chat_message":
		default:
			t.Fatalf("after %d of %d messages came %s", len(list), n, g.raw)
		}
		if want := after + int64(len(list)) + 1; g.Seq != want {
			t.Fatalf("got seq %d, want %d: %s", g.Seq, want, g.raw)
		}
		list = append(list, g.saying())
	}
	return list
}

func equal(t testing.TB, who string, got, want []saying) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d messages, want %d", who, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s has %+v, want %+v", who, got[i], want[i])
		}
	}
}

func TestWhatIsAcknowledgedIsStoredAndReachesEverySocketOnceInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t, fast)
	const each = 150
	senders := []*socket{a.chat(t, customer), b.chat(t, customer), a.chat(t, therapist), b.chat(t, therapist)}
	watchers := []*socket{a.chat(t, support), b.chat(t, support)}
	type outcome struct {
		acks  map[string]got
		heard []saying
	}
	outcomes := make([]outcome, len(senders))
	var sending sync.WaitGroup
	for i, s := range senders {
		sending.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d-%d", i, n)
				s.say(t, "text-"+id, id)
			}
		})
	}
	sending.Wait()
	for i, s := range senders {
		acks := map[string]got{}
		var heard []saying
		for len(acks) < each || len(heard) < each*len(senders) {
			switch g := s.next(t); g.Type {
			case "ack":
				if _, twice := acks[g.ClientMessageID]; twice || g.Duplicate {
					t.Fatalf("acknowledged twice: %s", g.raw)
				}
				acks[g.ClientMessageID] = g
			case "chat_message":
				if g.Seq != int64(len(heard))+1 {
					t.Fatalf("socket %d got seq %d after %d", i, g.Seq, len(heard))
				}
				heard = append(heard, g.saying())
			default:
				t.Fatalf("unexpected: %s", g.raw)
			}
		}
		outcomes[i] = outcome{acks: acks, heard: heard}
	}
	all := stored(t, w)
	if len(all) != each*len(senders) {
		t.Fatalf("%d messages are stored, want %d", len(all), each*len(senders))
	}
	for i, o := range outcomes {
		equal(t, "sender "+strconv.Itoa(i), o.heard, all)
		last := int64(0)
		for n := range each {
			id := fmt.Sprintf("%d-%d", i, n)
			ack := o.acks[id]
			if s := all[ack.Seq-1]; s.ID != ack.ID || s.Text != "text-"+id {
				t.Fatalf("acknowledged %s, stored %+v", ack.raw, s)
			}
			if ack.Seq <= last {
				t.Fatalf("one socket's messages changed their order: %d after %d", ack.Seq, last)
			}
			last = ack.Seq
		}
	}
	for i, s := range watchers {
		equal(t, "watcher "+strconv.Itoa(i), s.hears(t, 0, len(all)), all)
		s.quiet(t)
	}
}

func TestSendingAgainIsNeverASecondMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t, fast)
	sockets := []*socket{a.chat(t, customer), b.chat(t, customer), a.chat(t, customer), b.chat(t, customer)}
	other := b.chat(t, therapist)
	// All devices send the same id at once, each with another text, and then again.
	const ids = 20
	for round := range 2 {
		var sending sync.WaitGroup
		for i, s := range sockets {
			sending.Go(func() {
				for n := range ids {
					s.say(t, fmt.Sprintf("text-%d-%d", i, round), fmt.Sprintf("id-%d", n))
				}
			})
		}
		sending.Wait()
	}
	// The same ids from the other side are other messages.
	for n := range ids {
		other.say(t, "reply", fmt.Sprintf("id-%d", n))
	}
	acked := map[string]got{}
	fresh := 0
	for _, s := range sockets {
		for n := 0; n < 2*ids; {
			g := s.next(t)
			if g.Type != "ack" {
				continue
			}
			n++
			if first, ok := acked[g.ClientMessageID]; ok && (first.ID != g.ID || first.Seq != g.Seq || first.Timestamp != g.Timestamp) {
				t.Errorf("one id, two messages: %s and %s", first.raw, g.raw)
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
	all := stored(t, w)
	if len(all) != 2*ids {
		t.Fatalf("%d messages are stored, want %d", len(all), 2*ids)
	}
	equal(t, "the therapist", other.hears(t, 0, 2*ids), all)
}

func TestResumeWhileMessagesKeepFlowing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t, fast)
	sender := a.chat(t, customer)
	const before = 250 // more than two pages of the store
	for n := range before {
		sender.say(t, "old", strconv.Itoa(n))
	}
	sender.hears(t, 0, before)

	ctx, stop := context.WithCancel(t.Context())
	var flowing sync.WaitGroup
	flowing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			sender.say(t, "new", "n"+strconv.Itoa(n))
			sender.find(t, "ack")
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
			for replica, r := range map[string]*replica{"same": a, "other": b} {
				// One after the other: until parallel ones get their turn the messages would flow
				// for as long as the other tests take.
				t.Run(name+" on the "+replica+" replica", func(t *testing.T) {
					q := url.Values{}
					if c.since != "" {
						q.Set("since", c.since)
					}
					if c.since == "head" {
						q.Set("since", strconv.FormatInt(query[int64](t, w, "SELECT max(seq) FROM roomspa.messages"), 10))
					}
					s := r.room(t, "/ws/chat/1/2/", therapist, q)
					last := *s.want(t, "connected").LastSeq
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
					s.hears(t, first-1, int(last-first+1))
					if c.since != "" {
						g := s.want(t, "resumed")
						if g.FromSeq != first || g.ToSeq != last || g.Reset != c.reset {
							t.Errorf("resumed: %s, want from %d to %d, reset %v", g.raw, first, last, c.reset)
						}
					}
					s.hears(t, last, 20) // and what is said since
				})
			}
		}
	})
}

// Whatever Redis does, open sockets stay, what they send is acknowledged, and
// nothing goes by a side door.
func TestTwoSocketsOfOneReplicaHearNothingFromEachOtherWithoutRedis(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	r := w.ready(t, "a", fast)
	from, to := r.chat(t, customer), r.chat(t, therapist)
	position := r.location(t, therapist)
	from.say(t, "0", "m0")
	from.hears(t, 0, 1)
	to.hears(t, 0, 1)

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	r.becomesUnready(t, patience, "channel_layer")
	if status, _, _ := get(t, "http://"+r.OpsAddr()+"/livez"); status != 200 {
		t.Errorf("/livez is %d", status)
	}
	const n = 30
	for i := range n {
		from.say(t, strconv.Itoa(i), "down-"+strconv.Itoa(i))
	}
	seen := map[string]int{}
	for len(seen) < n {
		g := from.next(t)
		if g.Type == "ack" && g.ClientMessageID != "m0" {
			seen[g.ClientMessageID]++
		} else if g.Type != "ack" {
			t.Fatalf("without Redis the sender got %s", g.raw)
		}
	}
	to.quiet(t)
	from.quiet(t)
	position.send(t, `{"latitude":1,"longitude":2}`)
	position.faulty(t, "channel_layer_unavailable", "")
	if lines := r.text.about(from.header.Get("Roomspa-Ref")); strings.Count(lines, "Published to group") != 1 || !strings.Contains(lines, "level=ERROR msg=\"[ChatConsumer] Failed to publish to group chat_1_2: ") {
		t.Errorf("the log says that something was published, or not why it was not:\n%s", lines)
	}
	began := time.Now()
	r.room(t, "/ws/chat/1/2/", customer, nil).refusal(t, 1011, "channel_layer_unavailable")
	r.room(t, "/ws/location/1/2/", customer, nil).refusal(t, 1011, "channel_layer_unavailable")
	if took := time.Since(began); took > busy(10*time.Second) {
		t.Errorf("two refusals took %v", took)
	}
	to.quiet(t)

	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	from.hears(t, 1, n)
	to.hears(t, 1, n)
	from.quiet(t)
	to.quiet(t)
	r.becomesReady(t)
	position.send(t, `{"latitude":3,"longitude":4}`)
	if g := position.want(t, "location_update"); *g.Latitude != 3 {
		t.Errorf("what was refused came after all: %s", g.raw)
	}
}

// Not side by side with other tests: five seconds are promised on a machine that has little else to do.
func TestAStalledRedisAnswersEveryHandshakeInTime(t *testing.T) {
	w, server := ownRedis(t)
	r := w.ready(t, "a")
	open := r.chat(t, customer)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var all sync.WaitGroup
	for i := range 50 {
		path := []string{"/ws/chat/1/2/", "/ws/location/1/2/"}[i%2] // the first is subscribed already
		user := customer
		if i%4 > 1 {
			path, user = "/ws/chat/3/4/", stranger
		}
		all.Go(func() {
			s := r.room(t, path, user, nil)
			s.refusal(t, 1011, "channel_layer_unavailable")
			// The client shares its processors with 49 others and the server; the server's own watch is exact.
			age := r.disconnected(t, s).Age
			if took := time.Since(began); age > busy(5*time.Second) || took > busy(8*time.Second) {
				t.Errorf("a refusal took %v, by the server's watch %v", took, age)
			}
		})
	}
	all.Wait()
	open.say(t, "while stalled", "m1")
	open.find(t, "ack")
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	r.becomesReady(t)
	open.hears(t, 0, 1)
	r.chat(t, therapist)
}

// Not side by side with other tests, as above: a second is promised.
func TestASubscriptionThatIsKilledLosesNothing(t *testing.T) {
	w, server := ownRedis(t)
	a, b := w.pair(t, fast)
	from, to := a.chat(t, customer), b.chat(t, therapist)
	ctx, stop := context.WithCancel(t.Context())
	sent := 0
	var flowing sync.WaitGroup
	flowing.Go(func() {
		for ctx.Err() == nil {
			from.say(t, strconv.Itoa(sent), strconv.Itoa(sent))
			from.find(t, "ack")
			sent++
		}
	})
	admin := redisClient(t, server.URL())
	for i := range 3 {
		before := a.metric(t, "roomspa_resubscriptions_total") + b.metric(t, "roomspa_resubscriptions_total")
		killed, err := admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
		if err != nil || killed < 2 {
			t.Fatalf("killed %d connections: %v", killed, err)
		}
		began := time.Now()
		eventually(t, patience, "both are subscribed again", func() (bool, any) {
			n := a.metric(t, "roomspa_resubscriptions_total") + b.metric(t, "roomspa_resubscriptions_total") - before
			return n >= 2, n
		})
		if took := time.Since(began); took > busy(time.Second) {
			t.Errorf("kill %d: subscribed again after %v", i, took)
		}
	}
	stop()
	flowing.Wait()
	to.hears(t, 0, sent)
	to.quiet(t)
}

// A lost last message leaves no hole behind it: only the new subscription can know.
func TestAReplicaThatWasCutOffLooksForWhatItHasMissedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	line := netfault.New(t, hostOf(t, w.redisURL))
	far := *w
	far.redisURL = line.URL(w.redisURL)
	a, b := w.ready(t, "a", fast), far.ready(t, "b", fast)
	from, to := a.chat(t, customer), b.chat(t, therapist)
	for n := range 3 {
		line.Cut()
		b.becomesUnready(t, patience, "channel_layer")
		from.say(t, "missed", strconv.Itoa(n))
		from.hears(t, int64(n), 1) // it is published, and b has not heard it
		to.quiet(t)
		line.Heal()
		b.becomesReady(t)
		began := time.Now()
		to.hears(t, int64(n), 1)
		if took := time.Since(began); took > busy(2*time.Second) {
			t.Errorf("it came %v after the replica was ready", took)
		}
	}
}

func TestSubscribeForbiddenIsToldByReadyz(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	admin := redisClient(t, server.URL())
	rules := func(rules ...any) {
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "replica"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rules("on", ">an ordinary password", "~*", "&*", "+@all")
	w.redisURL = "redis://replica:an%20ordinary%20password@" + server.Addr() + "/0"
	r := w.ready(t, "a")
	s := r.chat(t, customer)

	rules("-subscribe", "-psubscribe", "-ssubscribe")
	began := time.Now()
	if _, err := admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result(); err != nil {
		t.Fatal(err)
	}
	why := ""
	eventually(t, busy(5*time.Second)-time.Since(began), "/readyz says that SUBSCRIBE is forbidden", func() (bool, any) {
		status, answer := r.readyz(t)
		why = finding(answer, "channel_layer").Error
		return status == http.StatusServiceUnavailable && containsFold(why, "subscribe") && containsFold(why, "NOPERM"), answer
	})
	if containsFold(why, "an ordinary password") {
		t.Errorf("/readyz tells the password: %q", why)
	}
	_, answer := r.readyz(t)
	if f := finding(answer, "redis"); !f.OK {
		t.Errorf("PING works, and /readyz says %+v", f)
	}
	if f := finding(answer, "postgres"); !f.OK {
		t.Errorf("Postgres works, and /readyz says %+v", f)
	}
	if status, _, _ := get(t, "http://"+r.OpsAddr()+"/livez"); status != 200 {
		t.Errorf("/livez is %d", status)
	}
	s.say(t, "meanwhile", "m1")
	s.want(t, "ack")
	r.room(t, "/ws/chat/1/2/", therapist, nil).refusal(t, 1011, "channel_layer_unavailable")

	rules("+subscribe", "+psubscribe", "+ssubscribe")
	r.becomesReady(t)
	s.hears(t, 0, 1)
	r.chat(t, therapist)
}

func TestWithoutPostgresNothingIsAcknowledgedAndLocationGoesOn(t *testing.T) {
	t.Parallel()
	w, server := ownPostgres(t)
	r := w.ready(t, "a", fast, prompt)
	from, to := r.chat(t, customer), r.chat(t, therapist)
	position, follower := r.location(t, therapist), r.location(t, customer)
	from.say(t, "0", "m0")
	from.hears(t, 0, 1)
	to.hears(t, 0, 1)

	seq := int64(1)
	outage := func(t *testing.T, name string, begin, end func() error) {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		last := "id-" + name
		from.say(t, name, last)
		g := from.next(t)
		for ; g.Type != "error"; g = from.next(t) {
			if g.Type == "ack" && g.ClientMessageID == last {
				t.Fatalf("%s: what is not committed is acknowledged: %s", name, g.raw)
			}
		}
		if g.Code != "database_unavailable" || g.ClientMessageID != last || g.Close != 0 || g.Ref != from.header.Get("Roomspa-Ref") {
			t.Errorf("%s: a send is answered with %s", name, g.raw)
		}
		if took := time.Since(began); took > busy(10*time.Second) {
			t.Errorf("%s: the error frame came after %v", name, took)
		}
		position.send(t, `{"latitude":1,"longitude":2}`)
		follower.want(t, "location_update")
		position.want(t, "location_update")
		began = time.Now()
		r.room(t, "/ws/chat/1/2/", customer, nil).refusal(t, 1011, "database_unavailable")
		if took := time.Since(began); took > busy(10*time.Second) {
			t.Errorf("%s: a refusal took %v", name, took)
		}
		r.becomesUnready(t, patience, "postgres")
		to.quiet(t)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		r.becomesReady(t)
		from.say(t, name, last)
		if g := from.find(t, "ack"); g.ClientMessageID != last {
			t.Errorf("%s: sent again, it is acknowledged with %s", name, g.raw)
		}
		to.hears(t, seq, 1)
		seq++
		r.chat(t, customer)
	}
	outage(t, "stopped", server.Kill, func() error { return server.Restart(t.Context()) })
	outage(t, "stalled", server.Pause, server.Resume)
	to.quiet(t)
	if all := stored(t, w); len(all) != 3 {
		t.Errorf("stored: %+v, want three messages", all)
	}
}

func TestACommitWhoseAnswerIsLostIsNoSecondMessage(t *testing.T) {
	t.Parallel()
	server := sandboxtest.Database(t, populate)
	redisURL, prefix := sandboxtest.Redis(t)
	w := &world{databaseURL: server, redisURL: redisURL, prefix: prefix, keys: keys(t)}
	proxy := netfault.New(t, hostOf(t, server))
	through := &world{databaseURL: proxy.URL(server), redisURL: redisURL, prefix: prefix, keys: w.keys}
	r := through.ready(t, "a", fast, prompt)
	from, to := r.chat(t, customer), r.chat(t, therapist)

	warm := 0
	for {
		// So that a connection is at hand that knows the statements, and needs no look before it is used.
		warm++
		from.say(t, "warm", "warm"+strconv.Itoa(warm))
		from.find(t, "ack")
		proxy.StallDown() // the commit happens, its answer is not seen
		from.say(t, "lost", "m1")
		if g := from.find(t, "error"); g.Code != "database_unavailable" || g.ClientMessageID != "m1" {
			t.Errorf("answered with %s", g.raw)
		}
		if n := query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n > warm {
			break
		} else if warm == 5 {
			t.Fatalf("it was never committed: %d messages", n)
		}
		proxy.Heal() // the connection was not good enough
		r.becomesReady(t)
	}
	proxy.Heal()
	// It was never acknowledged and never published, and yet it is there: everybody has to see it.
	to.hears(t, 0, warm+1)
	r.becomesReady(t)
	from.say(t, "lost, and sent again", "m1")
	if g := from.find(t, "ack"); !g.Duplicate || g.Seq != int64(warm+1) {
		t.Errorf("sent again it is acknowledged with %s", g.raw)
	}
	to.quiet(t)
	if all := stored(t, w); len(all) != warm+1 || all[warm].Text != "lost" {
		t.Errorf("stored: %+v", all)
	}
}
