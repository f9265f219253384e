package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// A TokenPlace says where in the handshake the token goes.
type TokenPlace int

// The places that the server looks at. The subprotocol is what browsers can do
// without leaving the token in access logs.
const (
	TokenInSubprotocol TokenPlace = iota // Sec-WebSocket-Protocol: bearer, <token>
	TokenInHeader                        // Authorization: Bearer <token>
	TokenInQuery                         // ?token=<token>
)

const (
	defaultDialTimeout  = 10 * time.Second
	defaultWriteTimeout = 10 * time.Second
	// defaultKeepAlive is a little more than the server's own ping interval of
	// 25 s: where the server pings, the client never has to.
	defaultKeepAlive = 30 * time.Second
	// pongWait is how long a peer may take to answer our ping.
	pongWait = 10 * time.Second
	// maxRead bounds a frame: the largest page of history is 200 messages of
	// 4,000 code points, which JSON may write in six bytes each.
	maxRead = 16 << 20
)

// Options is how one socket is dialled. Only URL is needed.
type Options struct {
	// URL is the endpoint; ws, wss, http and https are accepted. Its query is
	// kept, the fields below are added to it.
	URL string
	// Token is the access token, sent where TokenIn says; empty for none.
	Token   string
	TokenIn TokenPlace
	// Since asks for a replay of the messages after this seq; nil for none.
	Since *int64
	// LastRef and LastCode tell the server how the last socket died, so that
	// closes it cannot see become a number; empty and 0 for nothing.
	LastRef  string
	LastCode int
	// Header is sent beside the handshake's own: Origin, Host, User-Agent, ….
	Header http.Header
	// TLS is used for wss; nil for the system's roots.
	TLS *tls.Config
	// DialTimeout bounds everything up to the server's answer: name, TCP, TLS,
	// upgrade. 0 means 10 s.
	DialTimeout time.Duration
	// WriteTimeout is how long the peer may take no byte before the socket is
	// cut. 0 means 10 s.
	WriteTimeout time.Duration
	// KeepAlive is the silence after which the client pings; a peer that stays
	// silent for 10 s more is gone (1006). 0 means 30 s, a negative value never.
	KeepAlive time.Duration
	// NetDial makes the TCP connection; nil for the system's, through the proxy
	// that the environment names.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) dialTimeout() time.Duration  { return cmp.Or(o.DialTimeout, defaultDialTimeout) }
func (o Options) writeTimeout() time.Duration { return cmp.Or(o.WriteTimeout, defaultWriteTimeout) }
func (o Options) keepAlive() time.Duration    { return cmp.Or(o.KeepAlive, defaultKeepAlive) }
