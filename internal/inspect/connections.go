package inspect

import (
	"cmp"
	"context"
	"maps"
	"math"
	"net/url"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/session"
)

// A Connection is one socket of a replica.
type Connection struct {
	Replica  string `json:"replica"`
	Ref      string `json:"ref"`
	User     int64  `json:"user,omitempty"`
	Role     string `json:"role,omitempty"`
	Room     string `json:"room,omitempty"`
	Endpoint string `json:"endpoint"`
	Dialect  string `json:"dialect"`
	Client   string `json:"client,omitempty"`
	Address  string `json:"address"`
	State    string `json:"state"`

	AgeMS       int64   `json:"age_ms"`
	IdleMS      int64   `json:"idle_ms"`
	RoundTripMS float64 `json:"round_trip_ms,omitempty"` // of the last ping
	PingWaitMS  int64   `json:"ping_wait_ms,omitempty"`  // since the ping that is not answered yet
	ExpiresInMS int64   `json:"expires_in_ms,omitempty"` // the token

	Queue    int64  `json:"queue"`          // messages that wait for the client
	Received int    `json:"received_queue"` // messages of the client that wait for the server
	Held     int64  `json:"held_bytes"`     // of the replica's budget
	In       uint32 `json:"received"`       // messages
	Out      uint32 `json:"sent"`           // messages
	InBytes  uint64 `json:"received_bytes"` //nolint:tagliatelle // as in the log
	OutBytes uint64 `json:"sent_bytes"`     //nolint:tagliatelle // as in the log
}

// Connections are sockets of all replicas.
type Connections struct {
	Fleet
	// Total is the number of sockets that the filter chooses, and Users that of their users. A
	// user counts once for each replica with more than 1,000 users among them.
	Total       int          `json:"total"`
	Users       int          `json:"users"`
	Connections []Connection `json:"connections"` // the first ones in the order that was asked for
}

// A found holds sockets of one replica.
type found struct {
	Total       int          `json:"total"`
	Users       int          `json:"users"`
	UserIDs     []int64      `json:"user_ids,omitempty"` // if they are few enough to be sent
	Connections []Connection `json:"connections"`
}

// maxUserIDs is the maximum number of users that a replica names, so that those who have sockets
// on several replicas count once.
const maxUserIDs = 1000

// Numbers of sockets in one answer. Each replica answers with as many, to all replicas.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// A ConnectionQuery asks for sockets.
type ConnectionQuery struct {
	Filter Filter `json:"filter"`
	Sort   string `json:"sort"`
	Limit  int    `json:"limit"`
}

// orders are the orders of sockets: the first value is the greatest one.
var orders = map[string]func(*Connection) float64{
	"age":   func(c *Connection) float64 { return float64(c.AgeMS) },
	"idle":  func(c *Connection) float64 { return float64(c.IdleMS) },
	"rtt":   func(c *Connection) float64 { return max(c.RoundTripMS, float64(c.PingWaitMS)) },
	"queue": func(c *Connection) float64 { return float64(c.Queue) + float64(c.Received) },
	"held":  func(c *Connection) float64 { return float64(c.Held) },
	"user":  func(c *Connection) float64 { return -float64(c.User) },
}

// Orders are the names of the orders of sockets.
var Orders = []string{"age", "idle", "rtt", "queue", "held", "user"}

// ParseConnections reads the parameters of a query for sockets.
func ParseConnections(values url.Values) (q ConnectionQuery, err error) {
	p := parser{query: values}
	q.Filter = p.filter()
	q.Sort = cmp.Or(p.text("sort", Orders...), "age")
	q.Limit = int(cmp.Or(p.number("limit", 1, MaxLimit), DefaultLimit))
	return q, p.finish()
}

// Connections returns the sockets of all replicas that a query asks for.
func (i *Inspector) Connections(ctx context.Context, q ConnectionQuery, by string) (all Connections, err error) {
	answers, f, err := ask[found](ctx, i, aboutConnections, by, q.Filter.Replica, q)
	if err != nil {
		return all, err
	}
	all.Fleet, all.Connections = f, []Connection{}
	users := map[int64]struct{}{}
	for _, a := range answers {
		all.Total += a.data.Total
		all.Users += a.data.Users - len(a.data.UserIDs)
		for _, id := range a.data.UserIDs {
			users[id] = struct{}{}
		}
		all.Connections = append(all.Connections, a.data.Connections...)
	}
	all.Users += len(users)
	all.Connections = first(all.Connections, q)
	return all, nil
}

// listConnections returns the sockets of this replica.
func (i *Inspector) listConnections(q ConnectionQuery) (c found, err error) {
	if err := i.means(&q.Filter); err != nil {
		return c, err
	}
	if orders[q.Sort] == nil || q.Limit < 1 || q.Limit > MaxLimit {
		q.Sort, q.Limit = Orders[0], DefaultLimit
	}
	now, users := time.Now(), map[int64]struct{}{}
	i.o.Sockets.Infos(func(info *session.Info) bool {
		if !q.Filter.matches(info, now) {
			return true
		}
		c.Total++
		if info.User != 0 {
			users[info.User] = struct{}{}
		}
		c.Connections = append(c.Connections, i.describe(info, now))
		if len(c.Connections) >= 4*q.Limit { // so memory does not depend on the number of sockets
			c.Connections = first(c.Connections, q)
		}
		return true
	})
	c.Users, c.Connections = len(users), first(c.Connections, q)
	if len(users) <= maxUserIDs {
		c.UserIDs = slices.Collect(maps.Keys(users))
	}
	return c, nil
}

// first sorts sockets and returns as many as the query asks for.
func first(list []Connection, q ConnectionQuery) []Connection {
	value := orders[q.Sort]
	slices.SortFunc(list, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(value(&b), value(&a)), cmp.Compare(a.Ref, b.Ref))
	})
	return list[:min(len(list), q.Limit)]
}

func (i *Inspector) describe(s *session.Info, now time.Time) Connection {
	c := Connection{
		Replica: i.o.Replica, Ref: s.Ref, User: s.User, Role: s.Role, Room: roomOf(s.IDs).String(), Endpoint: s.Endpoint,
		Dialect: dialects[0], Client: s.Client, Address: s.Remote, State: s.State,
		AgeMS: now.Sub(s.Opened).Milliseconds(), IdleMS: s.Idle.Milliseconds(), PingWaitMS: s.PingWait.Milliseconds(),
		RoundTripMS: math.Round(s.RoundTrip.Seconds()*1e4) / 10,
		Queue:       s.Queue, Received: s.Received, Held: s.Held, In: s.In, Out: s.Out, InBytes: s.InBytes, OutBytes: s.OutBytes,
	}
	if s.Classic {
		c.Dialect = dialects[1]
	}
	if !s.Expires.IsZero() {
		c.ExpiresInMS = s.Expires.Sub(now).Milliseconds()
	}
	return c
}
