package soak

import "time"

// A kind is one way to break something.
type kind string

// The ways there are. A link is one replica's.
const (
	replicaKill    kind = "replica-kill"    // kill -9, and started again
	replicaStop    kind = "replica-stop"    // SIGSTOP
	replicaRestart kind = "replica-restart" // SIGTERM: drained, and started again
	redisRestart   kind = "redis-restart"
	redisKill      kind = "redis-kill"
	redisStop      kind = "redis-stop"
	redisClients   kind = "redis-client-kill" // CLIENT KILL, of subscribers, of others or of all
	pgRestart      kind = "postgres-restart"
	pgKill         kind = "postgres-kill"
	pgStop         kind = "postgres-stop"
	lostCommit     kind = "lost-commit" // statements commit, and their answer is lost
	redisCut       kind = "redis-link-cut"
	redisStall     kind = "redis-link-stall"
	redisDelay     kind = "redis-link-delay"
	pgCut          kind = "postgres-link-cut"
	pgStall        kind = "postgres-link-stall"
	pgDelay        kind = "postgres-link-delay"
	clientCut      kind = "client-link-cut"
	clientStall    kind = "client-link-stall"
	clientDelay    kind = "client-link-delay"
	vanish         kind = "client-vanish" // clients are gone, half of them without a word, and come back
	slow           kind = "slow-reader"   // clients stop reading
)

// A subject is what a fault needs for itself: two faults at once on one would
// undo each other.
type subject string

const (
	aReplica  subject = "replica"
	aRedis    subject = "redis"
	aPostgres subject = "postgres"
	toRedis   subject = "redis-link"
	toPG      subject = "postgres-link"
	toClients subject = "client-link"
	someGone  subject = "vanishing clients"
	someSlow  subject = "slow clients"
)

// perReplica reports whether there is one of the subject for each replica.
func (s subject) perReplica() bool {
	switch s {
	case aReplica, toRedis, toPG, toClients:
		return true
	default:
		return false
	}
}

// kinds lists all ways with their subjects and how long they last. The longest
// are longer than the time-out that is concerned: the channel layer gives a
// connection up after 3 s, Postgres has 8 s, a client's socket 6 s.
var kinds = []struct {
	kind        kind
	subject     subject
	least, most time.Duration
}{
	{replicaKill, aReplica, 0, 3 * time.Second},
	{replicaStop, aReplica, 200 * time.Millisecond, 9 * time.Second},
	{replicaRestart, aReplica, 0, time.Second},
	{redisRestart, aRedis, 0, 0},
	{redisKill, aRedis, 0, 4 * time.Second},
	{redisStop, aRedis, 100 * time.Millisecond, 7 * time.Second},
	{redisClients, aRedis, 0, 0},
	{pgRestart, aPostgres, 0, 0},
	{pgKill, aPostgres, 0, 3 * time.Second},
	{pgStop, aPostgres, 100 * time.Millisecond, 10 * time.Second},
	{lostCommit, toPG, 50 * time.Millisecond, time.Second},
	{redisCut, toRedis, 50 * time.Millisecond, 5 * time.Second},
	{redisStall, toRedis, 100 * time.Millisecond, 8 * time.Second},
	{redisDelay, toRedis, time.Second, 6 * time.Second},
	{pgCut, toPG, 50 * time.Millisecond, 4 * time.Second},
	{pgStall, toPG, 100 * time.Millisecond, 10 * time.Second},
	{pgDelay, toPG, time.Second, 6 * time.Second},
	{clientCut, toClients, 50 * time.Millisecond, 3 * time.Second},
	{clientStall, toClients, 100 * time.Millisecond, 10 * time.Second},
	{clientDelay, toClients, time.Second, 6 * time.Second},
	{vanish, someGone, 100 * time.Millisecond, 8 * time.Second},
	{slow, someSlow, time.Second, 14 * time.Second},
}
