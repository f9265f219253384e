// Package inspect lets operators look into the fleet while it runs: which sockets are open,
// what happens on those of one user, at which level replicas log, how much they do. Any replica
// takes an inquiry, asks all replicas through the control group of package fleet, and answers
// within a second. It names the replicas that did not answer.
//
// Nothing here costs anything while nobody asks, apart from one atomic load per frame.
package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

const (
	// answerTimeout is how long replicas may take to answer. The rest of the second is for the
	// way to the operator.
	answerTimeout = 800 * time.Millisecond
	// maxInquiries is the number of inquiries of operators, and of those from other replicas,
	// that a replica works on at the same time. More of them are refused, or not answered.
	maxInquiries = 8
)

// What an inquiry is about.
const (
	aboutConnections = "connections"
	aboutTop         = "top"
	aboutRules       = "rules"
	adoptedRules     = "adopt" // as rules; replicas without any do not answer
	startRule        = "start_rule"
	endRule          = "end_rule"
	traceLines       = "trace"
	endTrace         = "end_trace"
	closeSockets     = "close"
	leave            = "leave"
)

// ErrBusy means that too many inquiries are under way.
var ErrBusy = errors.New("this replica works on as many inquiries as it can; try again in a moment")

// A BadRequest is an inquiry that makes no sense. Its text is for the operator.
type BadRequest struct{ error }

// Options are what an [Inspector] looks into.
type Options struct {
	Replica, Version string
	Sockets          *session.Registry
	Levels           *logging.Levels
	Gatherer         prometheus.Gatherer
	Log              *slog.Logger
}

// An Inspector answers inquiries about this replica, and asks all replicas. Make one with
// [New] and call [Inspector.Run]. The other methods may be called concurrently.
type Inspector struct {
	o     Options
	fleet *fleet.Fleet
	rules *rules
	slow  *SlowRooms
	rates rates

	asking    chan struct{} // holds a value for each inquiry of an operator
	answering chan struct{} // holds a value for each inquiry of another replica
	adopting  chan struct{} // holds a value if rules are to be adopted from other replicas
	running   sync.WaitGroup
	ctx       context.Context // of Run; for what goes on after an answer
	cancel    context.CancelFunc

	publishing sync.Mutex // replicas drop an event that is older than the last one of its kind

	mu      sync.Mutex
	pending map[uint64]chan<- received
	gone    map[event.ProcessID]time.Time // replicas that have left in order
	names   map[event.ProcessID]string    // of replicas that have started after this one
	stopped bool                          // nothing new is started
	heard   map[uint64]chan<- struct{}    // inquiries of this replica that have not come back yet
}

// A received finding is the answer of another replica, or lines of a trace.
type received struct {
	from event.ProcessID
	body []byte
}

// New returns the inspector of a replica.
func New(o Options, f *fleet.Fleet, slow *SlowRooms) *Inspector {
	i := &Inspector{
		o: o, fleet: f, slow: slow, asking: make(chan struct{}, maxInquiries), answering: make(chan struct{}, maxInquiries), adopting: make(chan struct{}, 1),
		pending: map[uint64]chan<- received{}, gone: map[event.ProcessID]time.Time{}, names: map[event.ProcessID]string{}, heard: map[uint64]chan<- struct{}{},
	}
	i.ctx, i.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // Run ends it
	i.rules = newRules(o.Log, i.watch)
	i.rates.read = func() (counters, error) { return readCounters(o.Gatherer) }
	fleet.Handle(f, i.receiveInquiry, i.adopt)
	fleet.HandleRead(f, event.ReadFinding, i.receiveFinding, nil)
	return i
}

// Run works until ctx ends, and then tells the other replicas that this one leaves.
func (i *Inspector) Run(ctx context.Context) {
	i.adopt()
	i.adoptRules(ctx)
	i.publish(event.Inquiry{ID: newID(), What: leave}, nil)
	i.rules.stop()
	i.cancel()
	i.mu.Lock()
	i.stopped = true
	i.mu.Unlock()
	i.running.Wait()
}

// start runs do in a goroutine that Run waits for, and reports whether it does: not at the end.
func (i *Inspector) start(do func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.stopped {
		i.running.Go(do)
	}
	return !i.stopped
}

func (i *Inspector) publish(body event.Body, done func(error)) {
	i.publishing.Lock()
	defer i.publishing.Unlock()
	i.fleet.Publish(body, done)
}

// receiveInquiry handles an inquiry of another replica. It does not block.
func (i *Inspector) receiveInquiry(from event.ProcessID, q event.Inquiry) {
	if from == i.fleet.ID() {
		i.mu.Lock()
		if heard := i.heard[q.ID]; heard != nil {
			delete(i.heard, q.ID)
			close(heard)
		}
		i.mu.Unlock()
		return
	}
	switch q.What {
	case leave:
		i.noteGone(from)
		return
	case adoptedRules: // whoever has started says its name
		i.noteName(from, q.By)
	}
	select {
	case i.answering <- struct{}{}:
	default:
		return // whoever asks names this replica as one that did not answer
	}
	started := i.start(func() {
		defer func() { <-i.answering }()
		if report, answers := i.answer(i.ctx, from, &q); answers {
			i.publish(event.Finding{To: from, Inquiry: q.ID, Body: pack(report)}, nil)
		}
	})
	if !started {
		<-i.answering
	}
}

// noteGone remembers for a minute that a replica has left, until its heartbeat is forgotten.
func (i *Inspector) noteGone(id event.ProcessID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for other, at := range i.gone {
		if time.Since(at) > time.Minute {
			delete(i.gone, other)
		}
	}
	i.gone[id] = time.Now()
	delete(i.names, id)
}

// noteName remembers the name of a replica until its heartbeat is read.
func (i *Inspector) noteName(id event.ProcessID, name string) {
	const maxNames = 1000
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.names) >= maxNames {
		clear(i.names) // replicas that are long gone; the heartbeats of the others have the name
	}
	i.names[id] = name
}

// receiveFinding handles the answer of another replica. It does not block.
func (i *Inspector) receiveFinding(from event.ProcessID, f event.Finding) {
	if f.To != i.fleet.ID() {
		return
	}
	i.pass(f.Inquiry, received{from, slices.Clone(f.Body)})
}

// pass hands a finding to whoever waits for it.
func (i *Inspector) pass(inquiry uint64, r received) {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case i.pending[inquiry] <- r:
	default: // nobody waits any more, or too much waits
	}
}

// A report is the answer of one replica.
type report struct {
	Replica string          `json:"replica"`
	Error   string          `json:"error,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// answer does what an inquiry asks for. answers is false if this replica is not meant.
func (i *Inspector) answer(ctx context.Context, from event.ProcessID, q *event.Inquiry) (r report, answers bool) {
	r.Replica = i.o.Replica
	data, err := i.dispatch(ctx, from, q)
	if errors.Is(err, errNotMeant) {
		return r, false
	}
	if err != nil {
		r.Error = err.Error()
		return r, true
	}
	r.Data = marshal(data)
	return r, true
}

var errNotMeant = errors.New("another replica is meant")

func (i *Inspector) dispatch(ctx context.Context, from event.ProcessID, q *event.Inquiry) (any, error) {
	switch q.What {
	case aboutConnections:
		return run(q, i.listConnections)
	case aboutTop:
		return run(q, func(a topQuery) (ReplicaTop, error) { return i.listTop(ctx, a) })
	case aboutRules, adoptedRules:
		list := i.rules.list(time.Now())
		if q.What == adoptedRules && len(list) == 0 {
			return nil, errNotMeant
		}
		return list, nil
	case startRule:
		return run(q, i.rules.start)
	case endRule:
		return run(q, i.rules.endAs(q.By))
	case closeSockets:
		return run(q, func(a Filter) (int, error) { return i.closeHere(a, q.By) })
	case traceLines:
		return run(q, func(a traceQuery) (batch, error) { return i.traceHere(a, from, q) })
	case endTrace:
		return run(q, func(traceQuery) (struct{}, error) { i.rules.endTrace(q.ID, from); return struct{}{}, nil })
	}
	return nil, errors.New("this replica is of a release that does not know " + q.What)
}

// run decodes the arguments of an inquiry and calls do. It refuses members that it does not
// know: a filter of a newer release would choose too much.
func run[A, T any](q *event.Inquiry, do func(A) (T, error)) (any, error) {
	var a A
	if len(q.Arguments) > 0 {
		d := json.NewDecoder(bytes.NewReader(q.Arguments))
		d.DisallowUnknownFields()
		if d.Decode(&a) != nil {
			return nil, errors.New("this replica cannot read the inquiry: it is of another release")
		}
	}
	return do(a)
}

// means reports whether a filter is for this replica.
func (i *Inspector) means(f *Filter) error {
	if f.Replica != "" && f.Replica != i.o.Replica {
		return errNotMeant
	}
	return nil
}

// By returns who asks, for a log line: the address of the client of the ops listener, and the
// name that the operator gives.
func By(address, name string) string {
	const maxName = 64
	name = strings.TrimSpace(logging.Printable(name, " "))
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	if name == "" {
		return address
	}
	return address + " (" + name + ")"
}
