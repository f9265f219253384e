package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/openfiles"
	"github.com/roomspa/roomspa/internal/room"
)

// Errors that callers may look for.
var (
	// ErrTimeout means that Redis did not answer in time.
	ErrTimeout = errors.New("no answer")
	// ErrConnectionLost means that a subscription's connection ended.
	ErrConnectionLost = errors.New("the connection was lost")
)

var (
	errStarting  = errors.New("not connected yet")
	errStopped   = errors.New("this replica's Redis pipeline has stopped")
	errQueueFull = errors.New("the command queue is full or has stopped")
	errEOF       = errors.New("the connection was closed (EOF)")
)

// A failure is an error that can be classified by what caused it.
type failure struct {
	error
	reason error // from Redis, the network or this package
}

func (f *failure) Unwrap() error { return f.error }

// Cause returns the stable word for the reason.
func (f *failure) Cause() string { return classify(f.reason) }

// unavailable returns an error that names the attempted operation and the reason. It
// wraps [room.ErrUnavailable].
func (c *Client) unavailable(attempt string, err error) error {
	reason := c.translate(err)
	return &failure{fmt.Errorf("%s: %w: %w", attempt, room.ErrUnavailable, reason), reason}
}

// explain returns err with its cause, in words that an operator understands; nil for nil.
func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	reason := c.translate(err)
	return &failure{reason, reason}
}

// translate replaces errors whose texts tell an operator nothing. What the driver said stays in
// the text.
func (c *Client) translate(err error) error {
	var network net.Error
	if e, ok := errors.AsType[*explained](err); ok {
		if e.cause == "" {
			err = c.withPort(err)
		}
		return err
	}
	switch word := classify(err); {
	case c.isCluster() && (isMoved(err) || goredis.HasErrorPrefix(err, "ASK")):
		return &explained{"the hash slot is moving to another node (" + err.Error() + ")", causeClusterDown, err}
	case errors.Is(err, context.DeadlineExceeded):
		return c.withPort(fmt.Errorf("%w within %v", ErrTimeout, c.timeout))
	case errors.As(err, &network) && network.Timeout() && word != causeFiles:
		return c.withPort(fmt.Errorf("%w within %v (%w)", ErrTimeout, c.timeout, err))
	case errors.Is(err, io.EOF):
		return c.withPort(errEOF)
	case word == causeFiles:
		return &explained{openfiles.Explain(err), word, err}
	case word == causeTLS, word == causeUnknownCA, word == causeNoTLS, word == causeClientCert:
		return &explained{"the TLS handshake failed: " + certs.Explain(err), word, err}
	case word == causeOther:
		return c.withPort(&explained{"no cause is known for: " + err.Error(), "", err})
	case word == causeLost, word == causeStalled:
		return c.withPort(err)
	case word == causePermission, word == causeSubscribe:
		return c.withACL(err, word)
	case word == causeNoDatabase && c.databases() != "":
		return &explained{err.Error() + c.databases(), word, err}
	}
	return err
}

// withACL returns the error of a command that the ACL denies, with what would allow it.
func (c *Client) withACL(err error, word string) error {
	var l lacking
	l.add(err, "")
	if line := l.line(c.user(), c.prefix); line != "" {
		return &explained{err.Error() + "; to allow it: " + line, word, err}
	}
	return err
}

// An explained error has a text that an operator understands.
type explained struct {
	text  string
	cause string // "" if the error itself tells
	err   error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// isReply reports whether err is the answer of Redis to one command. Such an answer
// says nothing about the connection, unless the server cannot serve any command.
func isReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply) && !goredis.HasErrorPrefix(err, "LOADING") && !goredis.HasErrorPrefix(err, "MASTERDOWN") &&
		!goredis.HasErrorPrefix(err, "CLUSTERDOWN")
}
