package channel_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// recovery is how long after a fault of one node has ended everything must be heard again: a
// subscription that is deaf is noticed within 3 s, and reconnecting takes 1 s at most.
const recovery = 5 * time.Second

// A slot moves to another master while messages are published: only its shard notices.
func TestASlotMovesWhilePublishing(t *testing.T) {
	t.Parallel()
	p := world.RedisCluster(t)
	a, b := open(t, p.Impatient()).Layer, open(t, p.Impatient()).Layer
	up(t, a, b)
	s := startStream(t, 1, a, b)
	s.resumes(world.Limit)
	before, _ := b.Health()
	for i := range 6 {
		p.MoveSlot(t, s.groups[i%3].name)
		s.resumes(recovery)
	}
	if after, err := b.Health(); err != nil || !after.Equal(before) {
		t.Errorf("a moved slot is an outage: %v", err)
	}
	s.judge()
	up(t, a, b)
}

// A master is asked to step down, and then one is killed. Its replica takes over.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	p := world.RedisReplicatedCluster(t)
	a, b := open(t, p.Impatient()).Layer, open(t, p.Impatient()).Layer
	up(t, a, b)
	s := startStream(t, 1, a, b)
	s.resumes(world.Limit)
	for i := range 2 {
		p.Failover(t, s.groups[i].name)
		s.resumes(recovery)
	}
	master := p.KillMaster(t, s.groups[0].name)
	s.resumes(2 * recovery) // the cluster is down until all know it
	if err := master.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.resumes(recovery)
	s.judge()
	up(t, a, b)
}

// A subscription stays open and answers PING, but receives no message any more. Only the shards on
// that node subscribe again.
func TestADeafSubscriptionInAClusterIsReplaced(t *testing.T) {
	t.Parallel()
	p := world.RedisCluster(t)
	fronted, proxies := p.Front(t, p.Impatient())
	reg, lost := prometheus.NewRegistry(), make(chan string, 1)
	a := open(t, p.Impatient()).Layer
	b := openWith(t, fronted, slog.New(slog.NewTextHandler(writer(func(line string) {
		if strings.Contains(line, "Connection lost") {
			proxies[0].Heal() // before it subscribes again
			select {
			case lost <- line:
			default:
			}
		}
	}), nil)), reg).Layer
	up(t, a, b)
	s := startStream(t, 1, a, b)
	s.resumes(world.Limit)
	proxies[0].DropPublished(1)
	select {
	case line := <-lost:
		if !strings.Contains(line, "echoes are published but not received") || !strings.Contains(line, "of 32 shards") {
			t.Error(line)
		}
	case <-time.After(world.Limit):
		t.Fatal("it does not notice")
	}
	s.resumes(recovery)
	up(t, b)
	s.judge()
	if n := value(t, reg, "roomspa_redis_sharded"); n != 1 {
		t.Errorf("roomspa_redis_sharded is %v", n)
	}
}

// A writer is a function that is called with each line of a log.
type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

// Replicas of an earlier release go away one after the other: nothing is lost meanwhile.
func TestTheChangeToShardedPubSubLosesNothing(t *testing.T) {
	t.Parallel()
	p := world.RedisCluster(t)
	old := errOld{}
	a, b := openPubSub(t, p.Options, old), openPubSub(t, p.Options, old)
	now := time.Now()
	b.UseShardedAt(nil, now)           // a notices it later, by an interval of heartbeats
	c := openPubSub(t, p.Options, nil) // starts after the last old one has gone
	up(t, a, b, c)
	streams := []*stream{startStream(t, 1, a, b), startStream(t, 2, c, a), startStream(t, 3, b, c)}
	for step := range 14 { // 7 s each
		now = now.Add(7 * time.Second)
		b.UseShardedAt(nil, now)
		if step >= 2 {
			a.UseShardedAt(nil, now)
		}
		c.UseShardedAt(nil, now)
		up(t, a, b, c)
		for _, s := range streams {
			s.resumes(world.Limit)
		}
	}
	for _, s := range streams {
		s.repeats = true
		s.judge()
	}
	if n := p.Sum(t, func(ctx context.Context, node *goredis.Client) int {
		return len(node.PubSubChannels(ctx, "test:*chat*").Val())
	}); n > 0 {
		t.Errorf("%d plain subscriptions are left", n)
	}
}

// A replica of an earlier release appears: all go back to what it knows.
func TestTheWayBackToPlainPubSub(t *testing.T) {
	t.Parallel()
	p := world.RedisCluster(t)
	a, b := openPubSub(t, p.Options, nil), openPubSub(t, p.Options, nil)
	earlier := openPubSub(t, p.Options, errOld{})
	up(t, a, b, earlier)
	member, there := join(t, a, "chat_1_1"), join(t, earlier, "chat_1_1")
	a.UseShardedAt(errOld{}, time.Now())
	b.UseShardedAt(errOld{}, time.Now())
	member.toldMissed(t)
	up(t, a, b)
	publish(t, b, "chat_1_1", "to all")
	member.wants(t, "to all")
	there.wants(t, "to all")
	publish(t, earlier, "chat_1_1", "from the old one")
	member.wants(t, "from the old one")
	there.wants(t, "from the old one")
	later := time.Now().Add(time.Hour)
	a.UseShardedAt(errOld{}, later)
	b.UseShardedAt(errOld{}, later)
	publish(t, b, "chat_1_1", "plain alone")
	member.wants(t, "plain alone")
	there.wants(t, "plain alone")
}

type errOld struct{}

func (errOld) Error() string { return "a replica of an earlier release" }
