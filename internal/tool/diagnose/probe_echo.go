package diagnose

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// largeFrame is below the server's default limit (64 KiB), and above the usual limits of
// proxies and firewalls.
const largeFrame = 60 << 10

// testEcho sends small and large text and binary frames and compares their echoes.
func (w *walk) testEcho(ctx context.Context) result {
	conn, opened := w.open(ctx, Attempt{Probe: "echo", Path: "/ws/test/"}, client.Options{}, "")
	if conn == nil {
		opened = w.record(ctx, opened)
		return failed("%s: %s", opened.request(), opened.result())
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
		a := opened
		a.Sent = m.what
		if len(m.data) >= largeFrame {
			a.Bytes = len(m.data)
		}
		began := time.Now()
		w.sendAndCompare(ctx, conn, &a, m.data, m.binary)
		if a = w.record(ctx, a); !a.OK {
			if a.Bytes > 0 {
				w.compareFrames(ctx)
			}
			return failed("%s did not come back: %s", m.what, a.result())
		}
		if latency == 0 {
			latency = time.Since(began)
		}
	}
	r := passed("text and binary frames of up to 60 KiB came back, a small one in %s", durationText(latency))
	r.median, r.limit = latency, 500*time.Millisecond
	return r
}

func (w *walk) sendAndCompare(ctx context.Context, conn *client.Conn, a *Attempt, data []byte, binary bool) {
	send := conn.Send
	if binary {
		send = conn.SendBinary
	}
	_ = send(data) // the error of Read says more
	f, ok := w.await(ctx, conn, a, func(f client.Frame) bool { return bytes.Equal(f.Raw, data) || f.Type == "" || f.Type == "echo" })
	if !ok {
		return
	}
	a.Frames = f.Type
	if a.OK = bytes.Equal(f.Raw, data) && f.Binary == binary || f.Type == "echo"; !a.OK {
		a.Error = "changed"
	}
}

// probeSizes are below and above the packets of common networks, and one is a common limit of
// proxies.
var probeSizes = []int{1000, 1300, 1500, 2000, 16 << 10}

// compareFrames finds the largest frame that comes back, each on a socket of its own.
func (w *walk) compareFrames(ctx context.Context) {
	repeat(ctx, len(probeSizes), len(probeSizes), func(i int) (Attempt, bool) {
		conn, a := w.open(ctx, Attempt{Probe: "frame", Path: "/ws/test/", Bytes: probeSizes[i]}, client.Options{}, "")
		if conn != nil {
			defer closeSocket(conn)
			w.sendAndCompare(ctx, conn, &a, []byte(strings.Repeat("x", probeSizes[i])), false)
		}
		return w.record(ctx, a), true
	})
}
