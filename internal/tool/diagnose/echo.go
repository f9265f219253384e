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

// testUpgrade opens a socket on the echo endpoint, which needs neither token nor room.
func (d *diagnosis) testUpgrade(ctx context.Context) (string, error) {
	began := d.Now()
	conn, err := d.open(ctx, client.Options{URL: d.socketURL("/ws/test/?greet=1")})
	if err != nil {
		return "", err
	}
	defer closeSocket(conn)
	opened := d.Now()
	f, err := d.awaitFrame(ctx, conn, frame.TypeGreeting)
	if err != nil {
		if conn.Ref() == "" {
			return "", &problem{cause: "not_roomspa", detail: "a WebSocket opened, but not to roomspa: the response has no Roomspa-Ref, and no greeting came"}
		}
		return "", err
	}
	if at, err := time.Parse(time.RFC3339, f.Time); err == nil {
		d.setSkew(at, began)
	}
	return fmt.Sprintf("101 from replica %s, ref %s, in %s", truncate(f.Replica), truncate(f.Ref), durationText(opened.Sub(began))), nil
}

// largeFrame is below the server's default limit (64 KiB), and above the usual limits of
// proxies and firewalls.
const largeFrame = 60 << 10

// testEcho sends small and large text and binary frames and compares their echoes.
func (d *diagnosis) testEcho(ctx context.Context) (string, error) {
	conn, err := d.open(ctx, client.Options{URL: d.socketURL("/ws/test/")})
	if err != nil {
		return "", err
	}
	defer closeSocket(conn)
	var latency time.Duration // of the first frame
	for _, m := range []struct {
		what   string
		data   []byte
		binary bool
	}{
		{"a text frame", []byte("roomspa diagnose ü"), false},
		{"a binary frame", []byte{0, 1, 2, 0xff}, true},
		{"a text frame of 60 KiB", bytes.Repeat([]byte("x"), largeFrame), false},
		{"a binary frame of 60 KiB", bytes.Repeat([]byte{0xfe}, largeFrame), true},
	} {
		began := time.Now()
		if err := d.sendAndCompare(ctx, conn, m.what, m.data, m.binary); err != nil {
			return "", err
		}
		if latency == 0 {
			latency = time.Since(began)
		}
	}
	return "text and binary frames of up to 60 KiB came back, a small one in " + durationText(latency), nil
}

func (d *diagnosis) sendAndCompare(ctx context.Context, conn *client.Conn, what string, data []byte, binary bool) error {
	send := conn.Send
	if binary {
		send = conn.SendBinary
	}
	sendErr := send(data) // the error of Read says more
	waiting, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	f, err := conn.Read(waiting)
	closed, isClosed := errors.AsType[*client.CloseError](err)
	switch {
	case isClosed:
		p := closeProblem(closed)
		if len(data) >= largeFrame && p.cause != "too_large" && p.cause != "restart" && p.cause != "rebalance" {
			p.cause = "frame_size_limited"
		}
		p.detail = what + " did not come back: " + p.detail
		return p
	case err != nil || sendErr != nil:
		p := &problem{cause: "no_answer", ref: conn.Ref(), detail: fmt.Sprintf("%s did not come back within %v", what, d.Timeout)}
		if len(data) >= largeFrame {
			p.cause = "frame_size_limited"
		}
		return p
	case !bytes.Equal(f.Raw, data) && f.Type == frame.TypeError:
		return errorFrameProblem(f, conn.Ref())
	case !bytes.Equal(f.Raw, data) || f.Binary != binary:
		return &problem{cause: unexpected, ref: conn.Ref(), detail: what + " came back changed"}
	}
	return nil
}

// maxSkew is more than networks and proxies can add to the measured skew, and more than
// the server tolerates.
const maxSkew = 30 * time.Second

// compareClocks compares this machine's clock with the server's. A client with a wrong
// clock misjudges the expiry of tokens.
func (d *diagnosis) compareClocks(context.Context) (string, error) {
	switch {
	case !d.skewKnown:
		return "", errSkipped
	case d.skew.Abs() > maxSkew:
		return "", &problem{cause: "clock_skew", detail: d.skewText()}
	case d.skew.Abs() < time.Second:
		return "the clocks of this machine and the server differ by less than a second", nil
	}
	return d.skewText(), nil
}

func (d *diagnosis) skewText() string {
	if d.skew > 0 {
		return "the clock of this machine is " + durationText(d.skew) + " behind the server's"
	}
	return "the clock of this machine is " + durationText(-d.skew) + " ahead of the server's"
}

// durationText formats a duration with about three digits.
func durationText(d time.Duration) string {
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
