package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// Dial opens one socket. It returns when the server has answered the handshake:
// what an endpoint says then (connected, or an error frame and a close code) is
// for [Conn.Read].
//
// An answer other than the upgrade is a *[Refused]; everything else is an error
// of the network, of TLS, or ctx's. An httptrace in ctx sees the connection come
// up.
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
		HandshakeTimeout: o.dialTimeout(),
		ReadBufferSize:   4096,
		WriteBufferSize:  4096,
	}
	switch {
	case o.Token == "":
	case o.TokenIn == TokenInSubprotocol:
		d.Subprotocols = []string{"bearer", o.Token}
	case o.TokenIn == TokenInHeader:
		header.Set("Authorization", "Bearer "+o.Token)
	}
	ws, response, err := dial(ctx, &d, o, u, header)
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && response != nil:
		return nil, newRefused(response)
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	return newConn(ws, o, response.Header), nil
}

// dial is what gorilla's dialer does, ended by ctx: that one heeds only ctx's
// deadline once the TCP connection stands.
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
