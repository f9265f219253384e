package channel

import (
	"errors"

	"github.com/roomspa/roomspa/internal/redis"
)

// Cause words of faults that the layer detects itself. Package cause describes them.
const (
	causeStalled = "redis_stalled"
	causeLost    = "redis_connection_lost"
	causeOther   = "redis_other"
	causeUnread  = "deployment_unread"
)

var (
	errStarting       = errors.New("not connected yet")
	errNoDeployment   = fault{errors.New("the identity of the deployment has not been read from Postgres yet"), causeUnread}
	errRenamed        = errors.New("the deployment or its timeline has changed")
	errStopped        = errors.New("this replica's channel layer has stopped")
	errConnectionLost = fault{redis.ErrConnectionLost, causeLost}
	errNoEcho         = errors.New("echoes are published but not received")
)

// A fault is an error that the layer detects itself, with its cause word.
type fault struct {
	error
	word string
}

func (f fault) Unwrap() error { return f.error }

// Cause returns the stable word for the cause.
func (f fault) Cause() string { return f.word }
