package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/room"
)

var (
	errStarting    = errors.New("not connected yet")
	errStopped     = errors.New("this replica's channel layer has stopped")
	errFull        = errors.New("too much waits to be published, or the channel layer has stopped")
	errSilent      = fmt.Errorf("silent for %v though the connection is open", silence)
	errDeaf        = fmt.Errorf("own messages are published but have not come back for %v", silence)
	errUnconfirmed = fmt.Errorf("SUBSCRIBE was sent but not confirmed for %v", silence)
	errTimeout     = fmt.Errorf("no answer within %v", timeout)
	errEOF         = errors.New("the connection was closed (EOF)")
	errRedial      = errors.New("the connection was lost")
)

// unavailable says what was attempted and why it cannot be done now. It wraps
// [room.ErrUnavailable].
func unavailable(attempt string, cause error) error {
	why := plain(cause)
	return &failure{fmt.Sprintf("%s: %v: %v", attempt, room.ErrUnavailable, why), []error{room.ErrUnavailable, why}, why}
}

// because says what cannot be done, and why.
func because(attempt string, why error) error {
	return &failure{attempt + ": " + why.Error(), []error{why}, why}
}

// plain replaces the errors that say nothing to an operator.
func plain(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errors.Is(err, io.EOF):
		return errEOF
	case errors.As(err, &network) && network.Timeout():
		return errTimeout
	default:
		return err
	}
}

// answered reports whether err is Redis' own answer to one command, which says
// nothing of the connection, rather than a failure to get one.
func answered(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply) && !goredis.HasErrorPrefix(err, "LOADING") && !goredis.HasErrorPrefix(err, "MASTERDOWN") &&
		!goredis.HasErrorPrefix(err, "READONLY") && !goredis.HasErrorPrefix(err, "CLUSTERDOWN")
}
