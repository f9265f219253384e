package app_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
)

// small is a client whose kernel takes little for it, so that a stall is one soon.
var small = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true,
	DialContext: (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}).DialContext,
}}

// A staller is a client that reads only when it is told to.
type staller struct {
	*websocket.Conn

	ref string
}

// stalls connects one, takes the connected frame, and reads nothing from then on.
func (r *replica) stalls(t testing.TB, path string, user room.UserID) *staller {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, "ws://"+r.Addr()+path, &websocket.DialOptions{
		HTTPClient: small, Subprotocols: []string{"bearer", r.world.token(t, user)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	s := &staller{conn, res.Header.Get("Roomspa-Ref")}
	if g, err := s.next(t); err != nil || g.Type != "connected" {
		t.Fatalf("first came %s: %v", g.raw, err)
	}
	return s
}

func (s *staller) next(t testing.TB) (g got, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, data, err := s.Read(ctx)
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	g.raw = string(data)
	return g, err
}

func TestAStalledLocationReaderGetsTheNewestPositionAndNotAllThatItMissed(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", fast, func(o *app.Options) { o.WriteTimeout = time.Minute })
	from, to := r.location(t, therapist), r.stalls(t, "/ws/location/1/2/", customer)
	sent, echoed := 0, 0
	tell := func(n int) {
		for range n {
			sent++
			from.send(t, `{"latitude":1,"longitude":2,"speed":`+strconv.Itoa(sent)+`}`)
		}
		for newest := 0.0; newest != float64(sent); echoed++ { // the sender may be slow, too
			newest = *from.want(t, "location_update").Speed
		}
	}
	// It is certain to be stalled when positions are left out for it.
	eventually(t, 2*patience, "positions are left out", func() (bool, any) {
		tell(50)
		n := r.metric(t, `roomspa_drops_total{class="location"}`) - float64(sent-echoed)
		return n >= 100, n
	})
	last, before, n := 0.0, 0.0, 0
	for ; last < float64(sent); n++ {
		g, err := to.next(t)
		if err != nil {
			t.Fatalf("after %d positions: %v", n, err)
		}
		if before, last = last, *g.Speed; last <= before {
			t.Fatalf("position %v came after %v", last, before)
		}
	}
	if n > sent-50 {
		t.Errorf("it got %d of %d positions: they wait somewhere", n, sent)
	}
	tell(1) // and it follows again
	if g, err := to.next(t); err != nil || *g.Speed != float64(sent) {
		t.Errorf("then came %s: %v", g.raw, err)
	}
}

func TestAStalledChatReaderIsCutAndResumesWhileTheOthersChatOn(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", fast, func(o *app.Options) { o.WriteTimeout = time.Second })
	from, other, slow := r.chat(t, customer), r.chat(t, therapist), r.stalls(t, "/ws/chat/1/2/", therapist)
	sent := 0
	eventually(t, patience, "the server gives it up", func() (bool, any) {
		text := strings.Repeat("x", 1000)
		from.say(t, text, strconv.Itoa(sent))
		from.find(t, "ack")
		sent++
		lines := r.text.about(slow.ref)
		return containsFold(lines, "WebSocket disconnected"), sent
	})
	other.hears(t, 0, sent)
	highest := int64(0)
	for {
		g, err := slow.next(t)
		if err != nil {
			break
		}
		if g.Type == "chat_message" {
			if g.Seq != highest+1 {
				t.Fatalf("got seq %d after %d", g.Seq, highest)
			}
			highest = g.Seq
		}
	}
	if highest >= int64(sent) {
		t.Fatalf("it got all %d messages: it was never stalled", sent)
	}
	back := r.room(t, "/ws/chat/1/2/", therapist, url.Values{"since": {strconv.FormatInt(highest, 10)}})
	back.want(t, "connected")
	back.hears(t, highest, sent-int(highest))
	back.want(t, "resumed")
}
