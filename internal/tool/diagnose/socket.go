package diagnose

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// replicaHeader is the header of the 101 response that names the replica.
const replicaHeader = "Roomspa-Replica"

func replicaOf(c *client.Conn) string { return truncate(c.Header().Get(replicaHeader)) }

// roomOf returns what follows /ws/chat/ or /ws/location/ in a path, or "". It may be an
// incomplete room, which the server then refuses.
func roomOf(path string) string {
	_, rest, _ := strings.Cut(path, "/ws/")
	endpoint, room, _ := strings.Cut(rest, "/")
	if endpoint != "chat" && endpoint != "location" {
		return ""
	}
	return strings.TrimSuffix(room, "/") + "/"
}

// socketURL returns the URL of another endpoint of the same server.
func (d *diagnosis) socketURL(path string) string {
	return "ws" + strings.TrimPrefix(d.base, "http") + path
}

// open opens a socket. The error is a *problem.
func (d *diagnosis) open(ctx context.Context, o client.Options) (*client.Conn, error) {
	o.TLS, o.DialTimeout, o.WriteTimeout = d.tlsConfig(), d.Timeout, d.Timeout
	o.Header = http.Header{}
	d.setOrigin(o.Header)
	if o.NetDial == nil {
		o.NetDial = new(net.Dialer).DialContext // directly, like the steps before
	}
	conn, err := client.Dial(ctx, o)
	if err == nil {
		return conn, nil
	}
	status, ok := errors.AsType[*client.StatusError](err)
	op, network := errors.AsType[*net.OpError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case ok:
		return nil, d.statusProblem(status)
	case network && op.Op == "dial":
		return nil, d.dialProblem(err)
	case certificate:
		return nil, d.tlsProblem(ctx, err)
	}
	return nil, d.responseProblem(ctx, err)
}

// closeSocket closes a socket with a Close frame: the server counts a socket that is cut as
// a lost connection.
func closeSocket(c *client.Conn) { _ = c.Close(frame.CodeNormal, "") }

// awaitFrame reads frames until one of the type arrives.
func (d *diagnosis) awaitFrame(ctx context.Context, c *client.Conn, kind string) (client.Frame, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	for {
		f, err := c.Read(ctx)
		closed, ok := errors.AsType[*client.CloseError](err)
		switch {
		case ok:
			return f, closeProblem(closed)
		case err != nil:
			return f, &problem{cause: "no_answer", ref: c.Ref(), detail: fmt.Sprintf("the socket is open, but no %q frame came within %v", kind, d.Timeout)}
		case f.Type == kind:
			return f, nil
		case f.Type == frame.TypeError && f.Close == 0:
			return f, errorFrameProblem(f, c.Ref())
		}
	}
}

// errorFrameProblem explains an error frame.
func errorFrameProblem(f client.Frame, ref string) *problem {
	word := f.Code
	if _, known := cause.Find(word); !known {
		word = unexpected
	}
	if f.Ref != "" {
		ref = f.Ref
	}
	p := &problem{cause: word, ref: ref, detail: f.Detail}
	if f.Close != 0 {
		p.detail = fmt.Sprintf("closed with %d: %s", f.Close, f.Detail)
	}
	return p
}

// abnormal is the detail of the cause of the same name.
const abnormal = "the connection ended without a Close frame"

// closeProblem explains the end of a socket.
func closeProblem(e *client.CloseError) *problem {
	p := &problem{cause: e.Reason, ref: e.Ref, detail: fmt.Sprintf("closed with %d", e.Code)}
	if e.AnnouncedReason != "" {
		p.cause = e.AnnouncedReason // the Close frame itself may have been lost
	}
	if e.AnnouncedCode != 0 {
		p.detail = fmt.Sprintf("closed with %d", e.AnnouncedCode)
	}
	if e.Detail != "" {
		p.detail += ": " + e.Detail
	}
	if e.ReconnectAfter > 0 {
		p.detail += fmt.Sprintf("; the server asks to reconnect after %v", e.ReconnectAfter)
	}
	if _, known := cause.Find(p.cause); known {
		return p
	}
	if e.Code == client.CodeAbnormal {
		p.cause, p.detail = "abnormal", abnormal
		return p
	}
	p.cause, p.detail = unexpected, p.detail+" "+truncate(e.Reason)+", which is not a reason of roomspa"
	return p
}
