package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	defaultDialTimeout  = 10 * time.Second
	defaultWriteTimeout = 10 * time.Second
	// defaultKeepAlive is a little more than the server's ping interval of 25 s, so that
	// the client does not ping where the server does.
	defaultKeepAlive = 30 * time.Second
	// pongTimeout is how long a peer may take to answer our ping.
	pongTimeout = 10 * time.Second
	// maxFrame bounds a received frame. The largest page of history holds 200 messages
	// of 4,000 code points, for each of which JSON may need six bytes.
	maxFrame = 16 << 20
)

// Options describes how to dial one socket. Only URL is required.
type Options struct {
	// URL is the endpoint, as ws, wss, http or https. The fields below are added to its
	// query.
	URL string
	// Token is the access token, which is sent as a subprotocol; empty for none.
	Token string
	// Classic opens the socket as an app of the predecessor: only with the token, in the query.
	Classic bool
	// Since asks for a replay of the messages after this seq; nil for none. SinceID is the
	// id of the message with this seq; empty if it is unknown.
	Since   *int64
	SinceID string
	// LastRef and LastCode report how the previous socket ended, so that the server can
	// count closes that it cannot see.
	LastRef  string
	LastCode int
	// Header is sent in addition to the headers of the handshake.
	Header http.Header
	// TLS is the configuration for wss; nil uses the system's roots.
	TLS *tls.Config
	// DialTimeout bounds the handshake: name resolution, TCP, TLS and upgrade. Default:
	// 10 s.
	DialTimeout time.Duration
	// WriteTimeout is how long a write may block before the connection is cut. Default:
	// 10 s.
	WriteTimeout time.Duration
	// KeepAlive is the silence after which the client pings. A peer that stays silent for
	// 10 s more counts as lost. Default: 30 s; a negative value disables pings.
	KeepAlive time.Duration
	// NetDial makes the TCP connection; nil dials through the proxy that the environment
	// names, if any.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial opens one socket and returns when the server has answered the handshake. What
// the endpoint sends next (connected, or an error frame and a Close) is returned by
// [Conn.Read].
//
// The error is a *[StatusError] if the server answered anything but the upgrade.
// Otherwise it comes from the network, from TLS or from ctx.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	u, err := o.target()
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for key, values := range o.Header {
		header[http.CanonicalHeaderKey(key)] = values
	}
	d := websocket.Dialer{
		TLSClientConfig:  o.TLS,
		HandshakeTimeout: cmp.Or(o.DialTimeout, defaultDialTimeout),
		ReadBufferSize:   4096,
		WriteBufferSize:  4096,
	}
	if o.Token != "" && !o.Classic {
		d.Subprotocols = []string{"bearer", o.Token}
	}
	ws, response, err := dial(ctx, &d, o, u, header)
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && response != nil:
		return nil, newStatusError(response)
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	return newConn(ws, o, response.Header), nil
}

// dial calls gorilla's dialer and cuts the connection when ctx ends. The dialer itself
// only heeds ctx's deadline once the TCP connection is open.
func dial(ctx context.Context, d *websocket.Dialer, o Options, u *url.URL, header http.Header) (*websocket.Conn, *http.Response, error) {
	netDial := o.NetDial
	if netDial == nil {
		netDial = new(net.Dialer).DialContext
		d.Proxy = http.ProxyFromEnvironment
	}
	var dialled atomic.Pointer[net.Conn]
	cut := func() {
		if c := dialled.Load(); c != nil {
			_ = (*c).Close()
		}
	}
	d.NetDialContext = func(dialCtx context.Context, network, address string) (net.Conn, error) {
		c, err := netDial(dialCtx, network, address)
		if err != nil {
			return nil, err
		}
		dialled.Store(&c)
		if ctx.Err() != nil {
			cut()
		}
		return c, nil
	}
	stop := context.AfterFunc(ctx, cut)
	ws, response, err := d.DialContext(ctx, u.String(), header)
	if !stop() && err == nil {
		_ = ws.Close()
		err = context.Cause(ctx)
	}
	return ws, response, err
}
