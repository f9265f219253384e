package diagnose

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// replicaHeader is how a 101 names the replica.
const replicaHeader = "Roomspa-Replica"

func replicaOf(c *client.Conn) string { return clip(c.Header().Get(replicaHeader)) }

// socketURL is the URL of another endpoint of the same server.
func (w *walk) socketURL(path string) string {
	return "ws" + strings.TrimPrefix(w.base, "http") + path
}

// open opens a socket; without one the error is a *trouble.
func (w *walk) open(ctx context.Context, o client.Options) (*client.Conn, error) {
	o.TLS, o.DialTimeout, o.WriteTimeout = w.tlsConfig(), w.Timeout, w.Timeout
	o.Header = http.Header{}
	w.originate(o.Header)
	if o.NetDial == nil { // as the steps before: directly
		o.NetDial = new(net.Dialer).DialContext
	}
	conn, err := client.Dial(ctx, o)
	if err == nil {
		return conn, nil
	}
	refused, ok := errors.AsType[*client.Refused](err)
	op, network := errors.AsType[*net.OpError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case ok:
		return nil, w.refusal(refused)
	case network && op.Op == "dial":
		return nil, w.unconnected(err)
	case cert:
		return nil, w.unencrypted(ctx, err)
	}
	return nil, w.unanswered(ctx, err)
}

// bye closes a socket as a client should: one that is cut counts as a lost connection
// on the server. How it ends is of no interest any more.
func bye(c *client.Conn) { _ = c.Close(frame.CodeNormal, "") }

// first reads frames until one of the type comes, and returns it.
func (w *walk) first(ctx context.Context, c *client.Conn, kind string) (client.Frame, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	for {
		f, err := c.Read(ctx)
		closed, ok := errors.AsType[*client.CloseError](err)
		switch {
		case ok:
			return f, ended(closed)
		case err != nil:
			return f, &trouble{cause: "no_answer", ref: c.Ref(), detail: fmt.Sprintf("the socket is open, and no %q frame comes within %v", kind, w.Timeout)}
		case f.Type == kind:
			return f, nil
		case f.Type == frame.TypeError && f.Close == 0:
			return f, failed(f, c.Ref())
		}
	}
}

// failed is the trouble that an error frame tells of.
func failed(f client.Frame, ref string) *trouble {
	word := f.Code
	if _, known := cause.Find(word); !known {
		word = unexpected
	}
	if f.Ref != "" {
		ref = f.Ref
	}
	t := &trouble{cause: word, ref: ref, detail: f.Detail}
	if f.Close != 0 {
		t.detail = fmt.Sprintf("closed with %d: %s", f.Close, f.Detail)
	}
	return t
}

// ended is the trouble that a socket has ended with.
func ended(e *client.CloseError) *trouble {
	t := &trouble{cause: e.Reason, ref: e.Ref, detail: fmt.Sprintf("closed with %d", e.Code)}
	if e.Word != "" {
		t.cause = e.Word // the Close frame itself may have been lost
	}
	if e.Announced != 0 {
		t.detail = fmt.Sprintf("closed with %d", e.Announced)
	}
	if e.Detail != "" {
		t.detail += ": " + e.Detail
	}
	if e.After > 0 {
		t.detail += fmt.Sprintf("; it asks to come back after %v", e.After)
	}
	if _, known := cause.Find(t.cause); known {
		return t
	}
	if e.Code == client.CodeAbnormal {
		t.cause, t.detail = "abnormal", "the connection ended without a Close frame"
		return t
	}
	t.cause, t.detail = unexpected, t.detail+" "+clip(e.Reason)+", which is not roomspa's"
	return t
}
