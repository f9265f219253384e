package connect

import (
	"context"
	"io"
	"math"
	"net/url"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// A view shows events, and tracks the state that it needs to explain them.
type view struct {
	out, err io.Writer
	color    bool
	json     bool
	endpoint client.Endpoint
	address  string // without a query, which may hold a token

	mu        sync.Mutex
	user      int64           // our user id, 0 if no token tells it
	ownIDs    map[string]bool // client_message_ids of our messages, if user is 0
	connected bool
	highest   int64 // seq of the last message
	known     bool  // highest is known
	acked     int64 // the highest acknowledged seq
	pings     []time.Time
	answers   int             // outstanding answers to raw frames
	rawIDs    map[string]bool // client_message_ids of raw frames
	position  *[2]float64     // our last position, until it comes back
	state     conversationState
	dropped   int           // number of messages that were refused for good
	changed   chan struct{} // closed and replaced when the state changes
}

func newView(out io.Writer, o Options, endpoint client.Endpoint) *view {
	v := &view{
		out: out, err: o.Err, color: o.Color, json: o.JSON, endpoint: endpoint,
		ownIDs: map[string]bool{}, rawIDs: map[string]bool{}, changed: make(chan struct{}),
	}
	if u, err := url.Parse(o.Session.Socket.URL); err == nil {
		for _, parameter := range []string{"greet", "close"} {
			if endpoint == client.Echo && u.Query().Has(parameter) {
				v.answers++
			}
		}
		u.RawQuery = ""
		v.address = u.String()
	}
	if since := o.Session.Since; since != nil {
		v.highest, v.known = *since, true
	}
	return v
}

// trackUser learns our user id from the tokens that the session uses.
func (v *view) trackUser(source client.TokenSource, token string) client.TokenSource {
	v.user = client.UserOf(token)
	if source == nil {
		return nil
	}
	return func(ctx context.Context, refused string) (string, error) {
		token, err := source(ctx, refused)
		if id := client.UserOf(token); id != 0 {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.user = id
		}
		return token, err
	}
}

// handle is the session's callback.
func (v *view) handle(e client.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.track(e)
	if v.json {
		v.showJSON(e)
		return
	}
	v.show(e)
}

// track updates the state.
func (v *view) track(e client.Event) {
	switch e.Kind {
	case client.Connected:
		if v.connected = true; e.Frame != nil && e.Frame.LastSeq != nil && !v.known {
			v.highest, v.known = *e.Frame.LastSeq, true
		}
		if e.Frame != nil {
			v.state.open(e.Frame)
		}
		v.notify()
	case client.Closed, client.GaveUp:
		v.connected, v.answers, v.pings, v.position = false, 0, nil, nil
		v.notify()
	case client.Dropped:
		v.dropped++
	case client.Resumed:
		if e.Frame.Reset {
			v.state = conversationState{receipts: v.state.receipts, peer: v.state.peer}
			v.highest, v.acked = e.Frame.ToSeq, min(v.acked, e.Frame.ToSeq)
			v.notify()
		}
	case client.Arrived:
		v.trackFrame(e.Frame)
		v.notify()
	default:
	}
}

func (v *view) trackFrame(f *client.Frame) {
	if v.isAnswer(f) {
		v.answers = max(0, v.answers-1)
	}
	switch {
	case v.endpoint == client.Echo:
	case f.Type == frame.TypeChatMessage:
		v.highest, v.known = f.Seq, true
		if !v.isOwn(f.SenderID, f.ClientMessageID) {
			v.state.shown = f.Seq
		}
	case f.Type == frame.TypeHistory && len(f.Messages) > 0:
		v.state.shown = max(v.state.shown, f.Messages[len(f.Messages)-1].Seq)
	case f.Type == frame.TypeDelivered, f.Type == frame.TypeRead:
		v.state.raise(f)
	case f.Type == frame.TypeAck:
		v.acked = max(v.acked, f.Seq)
	case f.Type == frame.TypeLocationUpdate && v.position != nil && f.Latitude != nil && f.Longitude != nil:
		const near = 1e-6 // degrees: a tenth of a metre
		if math.Abs(*f.Latitude-v.position[0]) < near && math.Abs(*f.Longitude-v.position[1]) < near {
			v.position = nil
		}
	case f.Type == frame.TypeError:
		v.position = nil
	}
}

// isAnswer reports whether a frame answers one that was sent raw.
func (v *view) isAnswer(f *client.Frame) bool {
	if v.endpoint == client.Echo {
		return true
	}
	switch f.Type {
	case frame.TypePong, frame.TypeHistory:
		return true
	case frame.TypeAck:
		return f.ClientMessageID == "" || v.rawIDs[f.ClientMessageID]
	case frame.TypeError:
		return f.Close == 0 && (f.ClientMessageID == "" || v.rawIDs[f.ClientMessageID])
	default:
		return false
	}
}

// isOwn reports whether a message or a position is ours.
func (v *view) isOwn(sender int64, clientMessageID string) bool {
	return sender != 0 && sender == v.user || v.user == 0 && v.ownIDs[clientMessageID]
}

func (v *view) addOwnMessage(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.user == 0 {
		v.ownIDs[id] = true
	}
}

// expectAnswers adds n, which may be negative, to the number of outstanding answers.
func (v *view) expectAnswers(n int, id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers = max(0, v.answers+n)
	if v.notify(); id != "" {
		v.rawIDs[id] = true
	}
}

func (v *view) expectPosition(latitude, longitude float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.position = &[2]float64{latitude, longitude}
}

func (v *view) addPing() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pings = append(v.pings, time.Now())
}

func (v *view) isConnected() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.connected
}

func (v *view) notify() {
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *view) waitConnected(ctx context.Context, ended <-chan struct{}) {
	v.wait(ctx, ended, func() bool { return v.connected })
}

func (v *view) waitAnswers(ctx context.Context, ended <-chan struct{}, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v.wait(ctx, ended, func() bool { return v.answers == 0 && v.position == nil && v.acked <= v.highest })
}

// wait waits until the condition holds, ended is closed or ctx ends.
func (v *view) wait(ctx context.Context, ended <-chan struct{}, condition func() bool) {
	for {
		v.mu.Lock()
		ok, changed := condition(), v.changed
		v.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}
