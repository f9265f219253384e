package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/certs"
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

// translate replaces errors whose texts tell an operator nothing.
func (c *Client) translate(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("%w within %v", ErrTimeout, c.timeout)
	case errors.Is(err, io.EOF):
		return errEOF
	case classify(err) == causeTLS:
		return &tlsError{"the TLS handshake failed: " + certs.Explain(err), err}
	default:
		return err
	}
}

// A tlsError says why a TLS handshake failed.
type tlsError struct {
	text string
	err  error
}

func (e *tlsError) Error() string { return e.text }
func (e *tlsError) Unwrap() error { return e.err }

// isReply reports whether err is the answer of Redis to one command. Such an answer
// says nothing about the connection, unless the server cannot serve any command.
func isReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply) && !goredis.HasErrorPrefix(err, "LOADING") && !goredis.HasErrorPrefix(err, "MASTERDOWN") &&
		!goredis.HasErrorPrefix(err, "READONLY") && !goredis.HasErrorPrefix(err, "CLUSTERDOWN")
}
