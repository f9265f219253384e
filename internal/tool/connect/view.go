package connect

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/url"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// A view shows what happens, and keeps what is needed to show it well.
type view struct {
	out, err io.Writer
	color    bool
	json     bool
	endpoint client.Endpoint
	address  string // without a query, which may hold a token

	mu      sync.Mutex
	me      int64           // 0 where no token says
	sent    map[string]bool // client_message_ids, where me does not tell what is ours
	up      bool
	highest int64
	known   bool
	pings   []time.Time
	acked   int64           // the highest seq of an acknowledgement
	owed    int             // answers to raw frames
	place   *[2]float64     // the position that was sent last, until it comes back
	rawIDs  map[string]bool // of raw messages
	dropped int             // messages that were refused for good
	changed chan struct{}   // closed when up or owed changes
}

func newView(out io.Writer, o Options, endpoint client.Endpoint) *view {
	v := &view{
		out: out, err: o.Err, color: o.Color, json: o.JSON, endpoint: endpoint,
		sent: map[string]bool{}, rawIDs: map[string]bool{}, changed: make(chan struct{}),
	}
	if u, err := url.Parse(o.Session.Socket.URL); err == nil {
		for _, asked := range []string{"greet", "close"} {
			if endpoint == client.Echo && u.Query().Has(asked) {
				v.owed++
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

// noteUser learns who we are from the tokens that are used.
func (v *view) noteUser(source client.TokenSource, token string) client.TokenSource {
	v.me = client.UserOf(token)
	if source == nil {
		return nil
	}
	return func(ctx context.Context, refused string) (string, error) {
		token, err := source(ctx, refused)
		if id := client.UserOf(token); id != 0 {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.me = id
		}
		return token, err
	}
}

// event is the session's callback.
func (v *view) event(e client.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.follow(e)
	if v.json {
		v.showJSON(e)
		return
	}
	v.show(e)
}

// follow keeps up with what changes.
func (v *view) follow(e client.Event) {
	switch e.Kind {
	case client.Connected:
		if v.up = true; e.Frame != nil && e.Frame.LastSeq != nil && !v.known {
			v.highest, v.known = *e.Frame.LastSeq, true
		}
		v.stir()
	case client.Closed, client.GaveUp:
		v.up, v.owed, v.pings, v.place = false, 0, nil, nil
		v.stir()
	case client.Dropped:
		v.dropped++
	case client.Resumed:
		if e.Frame.Reset {
			v.highest = e.Frame.ToSeq
		}
	case client.Arrived:
		v.arrived(e.Frame)
		v.stir()
	default:
	}
}

func (v *view) arrived(f *client.Frame) {
	if v.answers(f) {
		v.owed = max(0, v.owed-1)
	}
	switch {
	case v.endpoint == client.Echo:
	case f.Type == frame.TypeChatMessage:
		v.highest, v.known = f.Seq, true
	case f.Type == frame.TypeAck:
		v.acked = max(v.acked, f.Seq)
	case f.Type == frame.TypeLocationUpdate && v.place != nil && f.Latitude != nil && f.Longitude != nil:
		const near = 1e-6 // degrees: a tenth of a metre
		if math.Abs(*f.Latitude-v.place[0]) < near && math.Abs(*f.Longitude-v.place[1]) < near {
			v.place = nil
		}
	case f.Type == frame.TypeError:
		v.place = nil
	}
}

// answers reports whether a frame answers one that was sent raw.
func (v *view) answers(f *client.Frame) bool {
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

// ours reports whether we sent a message or a position.
func (v *view) ours(sender int64, id string) bool {
	return sender != 0 && sender == v.me || v.me == 0 && v.sent[id]
}

// own notes a message of ours.
func (v *view) own(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.me == 0 {
		v.sent[id] = true
	}
}

// owe notes that an answer is awaited, or with -1 that it is not.
func (v *view) owe(n int, id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.owed = max(0, v.owed+n)
	if v.stir(); id != "" {
		v.rawIDs[id] = true
	}
}

// went notes a position that was sent.
func (v *view) went(latitude, longitude float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.place = &[2]float64{latitude, longitude}
}

func (v *view) pinged() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pings = append(v.pings, time.Now())
}

func (v *view) isUp() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.up
}

func (v *view) stir() {
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *view) awaitUp(ctx context.Context, over <-chan struct{}) {
	v.await(ctx, over, func() bool { return v.up })
}

func (v *view) awaitAnswers(ctx context.Context, over <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	v.await(ctx, over, func() bool { return v.owed == 0 && v.place == nil && v.acked <= v.highest })
}

func (v *view) await(ctx context.Context, over <-chan struct{}, done func() bool) {
	for {
		v.mu.Lock()
		ok, changed := done(), v.changed
		v.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// note says something of our own; in JSON there is none of it.
func (v *view) note(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.json {
		v.line(v.paint(dim, fmt.Sprintf(format, args...)))
	}
}

// complain is about what was typed.
func (v *view) complain(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.json {
		_, _ = fmt.Fprintln(v.err, "roomspa: "+printable(err.Error())) // nobody could be told that this failed
		return
	}
	v.line(v.paint(red, "! "+printable(err.Error())))
}

func (v *view) help() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.json {
		_, _ = fmt.Fprintln(v.err, help)
		return
	}
	v.line(help)
}

func (v *view) line(text string) {
	_, _ = io.WriteString(v.out, text+"\n") // an output that is gone is no reason to drop the connection
}
