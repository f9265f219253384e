package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// replicaHeader is the header of the 101 response that names the replica.
const replicaHeader = "Roomspa-Replica"

func replicaOf(c *client.Conn) string { return truncate(c.Header().Get(replicaHeader)) }

// socketURL returns the URL of another endpoint of the same server.
func (w *walk) socketURL(path string) string {
	return "ws" + strings.TrimPrefix(w.base, "http") + path
}

// ownOrigin is the origin of a page that the server itself serves.
func (w *walk) ownOrigin() string { return strings.TrimSuffix(w.base, w.facts.Prefix) }

// open opens a socket at the path of the attempt. secret is added to the query. It returns nil if
// there is no socket; the attempt says why.
func (w *walk) open(ctx context.Context, a Attempt, o client.Options, secret string) (*client.Conn, Attempt) {
	o.URL = w.socketURL(a.Path)
	if secret != "" {
		o.URL += map[bool]string{true: "&", false: "?"}[strings.Contains(a.Path, "?")] + secret
	}
	o.TLS, o.DialTimeout, o.WriteTimeout = w.tlsConfig(), w.Timeout, w.Timeout
	if a.Address == "" {
		a.Address = w.address(0)
	}
	if o.NetDial == nil {
		o.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dialTo(ctx, a.Address) }
	}
	began := w.Now()
	conn, err := client.Dial(ctx, o)
	a.MS = sinceMS(began, w.Now())
	if err == nil {
		a.setResponse(http.StatusSwitchingProtocols, conn.Header(), "")
		return conn, a
	}
	status, ok := errors.AsType[*client.StatusError](err)
	if !ok {
		a.Error, a.Text = w.classify(ctx, err)
		return nil, a
	}
	a.setResponse(status.Status, status.Header, status.Body)
	if status.Status == http.StatusSwitchingProtocols {
		a.Ours, a.Text = false, badUpgrade
	}
	if a.Ours {
		a.Code, a.Detail = status.Problem.Code, status.Problem.Detail
	}
	return nil, a
}

// closeSocket closes a socket with a Close frame: the server counts a socket that is cut as
// a lost connection.
func closeSocket(c *client.Conn) { _ = c.Close(frame.CodeNormal, "") }

// await reads frames until one matches, and records in a how that ended.
func (w *walk) await(ctx context.Context, c *client.Conn, a *Attempt, match func(client.Frame) bool) (client.Frame, bool) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	for {
		f, err := c.Read(limited)
		a.TotalMS = a.MS + sinceMS(began, time.Now())
		closed, ok := errors.AsType[*client.CloseError](err)
		switch {
		case ok:
			a.setClose(closed)
			return f, false
		case err != nil:
			a.Error = "timeout"
			return f, false
		case match(f):
			return f, true
		case f.Type == frame.TypeError && f.Close == 0 && f.Code != "":
			a.Code, a.Detail = f.Code, f.Detail
			if f.Ref != "" {
				a.Ref = f.Ref
			}
			return f, false
		}
		a.Frames = strings.TrimSpace(a.Frames + " " + truncate(f.Type))
	}
}

func ofType(kind string) func(client.Frame) bool {
	return func(f client.Frame) bool { return f.Type == kind }
}

// setClose records the end of a socket.
func (a *Attempt) setClose(e *client.CloseError) {
	a.Close, a.Code, a.Detail = e.Code, e.Reason, e.Detail
	if e.AnnouncedCode != 0 { // the Close frame itself may have been lost
		a.Close, a.Code = e.AnnouncedCode, e.AnnouncedReason
	}
	if e.Ref != "" {
		a.Ref = e.Ref
	}
	if e.ReconnectAfter > 0 {
		a.Detail = strings.TrimPrefix(fmt.Sprintf("%s; the server asks to reconnect after %v", a.Detail, e.ReconnectAfter), "; ")
	}
	if e.Code == client.CodeAbnormal && e.AnnouncedCode == 0 {
		a.Close, a.Error, a.Code = 0, "closed", ""
		a.Text = "the connection ended without a Close frame"
	}
}

// testUpgrades opens ten sockets on the echo endpoint, which needs neither token nor room. The
// addresses of the name take turns.
func (w *walk) testUpgrades(ctx context.Context) result {
	return summary(repeat(ctx, times, times, func(i int) (Attempt, bool) {
		a := w.greet1(ctx, Attempt{Probe: "upgrade", Path: "/ws/test/?greet=1", Address: w.address(i)}, client.Options{})
		return w.record(ctx, a), a.OK || i < 3 || w.has(func(a *Attempt) bool { return a.Probe == "upgrade" && a.OK }) || a.Error == "timeout"
	}), "sockets opened at /ws/test/", 500*time.Millisecond)
}

// times is how often cheap steps are repeated.
const times = 10

// greet1 opens a socket that asks for a greeting, and sends a frame behind it: the echo tells a
// proxy that strips the query from one that passes on no frames.
func (w *walk) greet1(ctx context.Context, a Attempt, o client.Options) Attempt {
	began := w.Now()
	conn, a := w.open(ctx, a, o, "")
	if conn == nil {
		return a
	}
	defer closeSocket(conn)
	const text = "roomspa diagnose"
	_ = conn.Send([]byte(text)) // the error of Read says more
	f, ok := w.await(ctx, conn, &a, func(f client.Frame) bool {
		return f.Type == frame.TypeGreeting || string(f.Raw) == text || f.Type == "echo"
	})
	switch {
	case !ok:
	case f.Type == frame.TypeGreeting:
		a.Ours = a.Ours || f.Ref != "" // a proxy may drop the header
		a.Replica, a.NotReady, a.OK, a.Frames = truncate(f.Replica), f.NotReady, a.Ours, frame.TypeGreeting
		if at, err := time.Parse(time.RFC3339, f.Time); err == nil {
			w.setSkew(at, began, true)
		}
	case a.Ours:
		a.Sent = strings.TrimPrefix(a.Sent+", greet in the query", ", ")
		a.Frames, a.Text = "echo", "the echo came, and no greeting before it"
	default:
		a.Frames = "echo"
	}
	return a
}

// connectAsBrowser opens a socket as a page of the own origin does, and as one of the origin given.
func (w *walk) connectAsBrowser(ctx context.Context) result {
	own := w.ownOrigin()
	origins := []string{own}
	if w.Origin != "" && w.Origin != own {
		origins = append(origins, w.Origin)
	}
	all := repeat(ctx, len(origins), 1, func(i int) (Attempt, bool) {
		sent := "the origin " + origins[i]
		if i == 0 {
			sent = "its own origin " + own
		}
		a := w.greet1(ctx, Attempt{Probe: "browser", Path: "/ws/test/?greet=1", Sent: sent + ", a subprotocol"}, client.Options{
			Token: "diagnose", Header: http.Header{"Origin": {origins[i]}},
		})
		if a.OK && (a.Header["Sec-WebSocket-Protocol"] != "bearer" || a.Header["Sec-WebSocket-Extensions"] != "") {
			a.OK = false
			a.Text = "the response 101 came without Sec-WebSocket-Protocol: bearer"
		}
		return w.record(ctx, a), true
	})
	if len(origins) > 1 {
		a, _ := w.request(ctx, Attempt{Probe: "preflight", Path: "/api/conversations/", Sent: "the origin " + w.Origin + ", OPTIONS"}, http.MethodOptions, http.Header{
			"Origin": {w.Origin}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"authorization"},
		}, "")
		a.OK = a.Header["Access-Control-Allow-Origin"] != "" && a.Status < 300
		all = append(all, w.record(ctx, a))
	}
	return summary(all, "handshakes of a browser", 500*time.Millisecond)
}
