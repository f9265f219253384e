package diagnose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// upgrade opens a socket on the endpoint that needs neither token nor room.
func (w *walk) upgrade(ctx context.Context) (string, error) {
	began := w.Now()
	conn, err := w.open(ctx, client.Options{URL: w.socketURL("/ws/test/?greet=1")})
	if err != nil {
		return "", err
	}
	defer bye(conn)
	opened := w.Now()
	f, err := w.first(ctx, conn, frame.TypeGreeting)
	if err != nil {
		if conn.Ref() == "" {
			return "", &trouble{cause: "not_roomspa", detail: "a WebSocket opens, but not to a roomspa: the answer has no Roomspa-Ref, and no greeting comes"}
		}
		return "", err
	}
	if at, err := time.Parse(time.RFC3339, f.Time); err == nil {
		w.clock(at, began)
	}
	return fmt.Sprintf("101 from replica %s, ref %s, in %s", clip(f.Replica), clip(f.Ref), short(opened.Sub(began))), nil
}

// large is below the least limit that a server has by default, and above those that
// proxies and firewalls have.
const large = 60 << 10

// echo sends frames of both kinds and of two sizes, and looks whether they come back.
func (w *walk) echo(ctx context.Context) (string, error) {
	conn, err := w.open(ctx, client.Options{URL: w.socketURL("/ws/test/")})
	if err != nil {
		return "", err
	}
	defer bye(conn)
	var took time.Duration
	for _, m := range []struct {
		what   string
		data   []byte
		binary bool
	}{
		{"a text frame", []byte("roomspa diagnose ü"), false},
		{"a binary frame", []byte{0, 1, 2, 0xff}, true},
		{"a text frame of 60 KiB", bytes.Repeat([]byte("x"), large), false},
		{"a binary frame of 60 KiB", bytes.Repeat([]byte{0xfe}, large), true},
	} {
		began := time.Now()
		if err := w.thereAndBack(ctx, conn, m.what, m.data, m.binary); err != nil {
			return "", err
		}
		if took == 0 {
			took = time.Since(began)
		}
	}
	return "text and binary frames come back, up to 60 KiB, a small one in " + short(took), nil
}

func (w *walk) thereAndBack(ctx context.Context, conn *client.Conn, what string, data []byte, binary bool) error {
	send := conn.Send
	if binary {
		send = conn.SendBinary
	}
	sent := send(data) // how the socket ended says more than why it could not be written to
	waiting, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	f, err := conn.Read(waiting)
	closed, isClosed := errors.AsType[*client.CloseError](err)
	switch {
	case isClosed:
		t := ended(closed)
		if len(data) >= large && t.cause != "too_large" && t.cause != "restart" && t.cause != "rebalance" {
			t.cause = "frame_size_limited"
		}
		t.detail = what + " does not come back: " + t.detail
		return t
	case err != nil || sent != nil:
		t := &trouble{cause: "no_answer", ref: conn.Ref(), detail: fmt.Sprintf("%s does not come back within %v", what, w.Timeout)}
		if len(data) >= large {
			t.cause = "frame_size_limited"
		}
		return t
	case !bytes.Equal(f.Raw, data) && f.Type == frame.TypeError:
		return failed(f, conn.Ref())
	case !bytes.Equal(f.Raw, data) || f.Binary != binary:
		return &trouble{cause: unexpected, ref: conn.Ref(), detail: what + " comes back changed"}
	}
	return nil
}

// clockLimit is more than the networks and the proxies can add to the difference,
// and more than the server allows for.
const clockLimit = 30 * time.Second

// compareClocks compares this machine's clock with the server's: a client that is
// far off judges tokens wrongly.
func (w *walk) compareClocks(context.Context) (string, error) {
	switch {
	case !w.skewed:
		return "", errNotHere
	case w.skew.Abs() > clockLimit:
		return "", &trouble{cause: "clock_skew", detail: "the clock of this machine is " + w.offset() + " the server's"}
	case w.skew.Abs() < time.Second:
		return "this machine and the server agree to a second", nil
	}
	return "the clock of this machine is " + w.offset() + " the server's", nil
}

func (w *walk) offset() string {
	if w.skew > 0 {
		return short(w.skew) + " behind"
	}
	return short(-w.skew) + " ahead of"
}

// short is a duration as a person reads it.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return "less than 1ms"
}
