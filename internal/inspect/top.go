package inspect

import (
	"cmp"
	"context"
	"net/url"
)

// A ReplicaTop is how much one replica does.
type ReplicaTop struct {
	Replica     string         `json:"replica"`
	Version     string         `json:"version"`
	Draining    bool           `json:"draining,omitempty"`
	Sockets     int            `json:"sockets"`
	Kinds       map[string]int `json:"kinds"` // sockets by endpoint and dialect, as in "chat roomspa"
	Rates       Rates          `json:"per_second"`
	MemoryUsed  int64          `json:"memory_used_bytes,omitempty"` // 0 if it is not measured
	MemoryLimit int64          `json:"memory_limit_bytes,omitempty"`
	Held        int64          `json:"budget_held_bytes"`
	Budget      int64          `json:"budget_bytes"`
	SlowRooms   []SlowRoom     `json:"slow_rooms,omitempty"` // only in Top
	Queues      []Connection   `json:"queues,omitempty"`     // only in Top
}

// Top is how much all replicas do.
type Top struct {
	Fleet
	Sockets   int          `json:"sockets"`
	Rates     Rates        `json:"per_second"`
	Replicas  []ReplicaTop `json:"replicas"`
	SlowRooms []SlowRoom   `json:"slow_rooms"` // of all replicas, the slowest one first
	Queues    []Connection `json:"queues"`     // of all replicas, the longest one first
}

// A topQuery asks how much replicas do.
type topQuery struct {
	Replica string `json:"replica,omitempty"`
	Limit   int    `json:"limit"` // of rooms and queues
}

// A TopQuery is what [Inspector.Top] takes.
type TopQuery = topQuery

// defaultTop and maxTop are numbers of rooms and queues.
const defaultTop, maxTop = 10, 50

// ParseTop reads the parameters of a query.
func ParseTop(values url.Values) (q TopQuery, err error) {
	p := parser{query: values}
	q.Replica = p.text("replica")
	q.Limit = int(cmp.Or(p.number("limit", 1, maxTop), defaultTop))
	return q, p.finish()
}

// Top returns how much all replicas do.
func (i *Inspector) Top(ctx context.Context, q TopQuery, by string) (t Top, err error) {
	answers, f, err := ask[ReplicaTop](ctx, i, aboutTop, by, q.Replica, q)
	if err != nil {
		return t, err
	}
	t = Top{Fleet: f, Replicas: []ReplicaTop{}, SlowRooms: []SlowRoom{}, Queues: []Connection{}}
	for _, a := range answers {
		t.Sockets += a.data.Sockets
		t.Rates = t.Rates.plus(a.data.Rates)
		t.SlowRooms = append(t.SlowRooms, a.data.SlowRooms...)
		t.Queues = append(t.Queues, a.data.Queues...)
		a.data.SlowRooms, a.data.Queues = nil, nil
		t.Replicas = append(t.Replicas, a.data)
	}
	t.SlowRooms = slowest(t.SlowRooms, q.Limit)
	t.Queues = first(t.Queues, ConnectionQuery{Sort: "queue", Limit: q.Limit})
	return t, nil
}

// listTop returns how much this replica does.
func (i *Inspector) listTop(ctx context.Context, q topQuery) (t ReplicaTop, err error) {
	if q.Replica != "" && q.Replica != i.o.Replica {
		return t, errNotMeant
	}
	limit := min(max(1, q.Limit), maxTop)
	c, perSecond, err := i.rates.measure(ctx)
	if err != nil {
		return t, err
	}
	queues, err := i.listConnections(ConnectionQuery{Filter: Filter{MinQueue: 1}, Sort: "queue", Limit: limit})
	if err != nil {
		return t, err
	}
	t = ReplicaTop{
		Replica: i.o.Replica, Version: i.o.Version, Draining: i.o.Sockets.Draining(), Sockets: i.o.Sockets.Len(), Kinds: c.sockets, Rates: perSecond,
		MemoryUsed: c.memory, MemoryLimit: c.memoryLimit, Held: c.held, Budget: c.budget,
		SlowRooms: i.slow.list(i.o.Replica, limit), Queues: queues.Connections,
	}
	return t, nil
}
