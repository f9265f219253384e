package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// evictionsMatter is how long a warning about evicted keys lasts after the last one.
const evictionsMatter = 10 * time.Minute

var errEvicting = errors.New("its memory is full")

// Warn returns a problem of a server that answers PING: what [Client.CheckWrite] finds, or that
// the server has evicted keys in the last ten minutes, as far as earlier calls have seen it.
func (c *Client) Warn(ctx context.Context) error {
	if err := c.CheckWrite(ctx); err != nil {
		return err
	}
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	if c.isCluster() { // INFO is the answer of any one server
		return nil
	}
	count, err := strconv.Atoi(c.info(ctx, "stats", "evicted_keys"))
	if err != nil {
		return nil //nolint:nilerr // the server does not tell
	}
	if n := c.evicted.note(count, time.Now()); n > 0 {
		return c.explain(&explained{
			fmt.Sprintf("Redis has evicted %d keys since this replica first looked: last positions, tickets, counts of sign-ins and stories vanish early", n),
			causeEvicting, errEvicting,
		})
	}
	return nil
}

// evictions remembers how many keys a server has evicted. It is safe for concurrent use.
type evictions struct {
	mu    sync.Mutex
	known bool
	first int       // count of the server at the first look
	last  int       // and at the last one
	grew  time.Time // when a look last found more
}

// note takes the server's count, and returns how many keys were evicted since the first look, or 0
// if that has ended.
func (e *evictions) note(count int, now time.Time) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.known || count < e.last: // another server, or a restart
		e.known, e.first, e.grew = true, count, time.Time{}
	case count > e.last:
		e.grew = now
	}
	e.last = count
	if e.grew.IsZero() || now.Sub(e.grew) > evictionsMatter {
		return 0
	}
	return e.last - e.first
}
