package netfault

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A conn is one connection through the proxy.
type conn struct {
	proxy  *Proxy
	client *net.TCPConn
	once   sync.Once
	cut    chan struct{} // closed by abort
}

// A chunk holds the bytes of one read. An empty chunk is the end of the stream.
type chunk struct {
	bytes []byte
	due   time.Time
}

// abort makes run reset both sides and return.
func (c *conn) abort() { c.once.Do(func() { close(c.cut) }) }

// run serves the connection until both sides have closed it or one has failed.
func (c *conn) run() {
	if !c.waitUnstalled(up) || !c.waitUnstalled(down) {
		reset(c.client)
		return
	}
	target, err := c.dial()
	if err != nil {
		reset(c.client)
		return
	}
	var pipes sync.WaitGroup
	pipes.Go(func() { c.pipe(up, c.client, target) })
	pipes.Go(func() { c.pipe(down, target, c.client) })
	ended := make(chan struct{})
	go func() {
		pipes.Wait()
		close(ended)
	}()
	select {
	case <-c.cut: // the resets end pending reads and writes
		reset(c.client)
		reset(target)
		<-ended
	case <-ended:
		c.finish(target)
	}
}

// finish closes both sides, with a reset if the connection was aborted.
func (c *conn) finish(target *net.TCPConn) {
	select {
	case <-c.cut:
		reset(c.client)
		reset(target)
	default:
		_ = c.client.Close()
		_ = target.Close()
	}
}

func (c *conn) dial() (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	dialled := make(chan struct{})
	defer close(dialled)
	go func() {
		select {
		case <-c.cut:
			cancel()
		case <-dialled:
		}
	}()
	c.proxy.mu.Lock()
	addr := c.proxy.target
	c.proxy.mu.Unlock()
	target, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error is not used: the client gets a reset
	}
	return target.(*net.TCPConn), nil //nolint:forcetypeassert,errcheck // it was dialled as TCP
}

// pipe passes bytes from one side to the other. Its queue (1 MiB) holds delayed bytes, so that a delay does not limit the
// rate.
func (c *conn) pipe(d direction, from, to *net.TCPConn) {
	queue := make(chan chunk, 256)
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() { c.read(d, from, queue) })
	for {
		select {
		case <-c.cut:
			return
		case next, ok := <-queue:
			if !ok || !c.waitUntil(next.due) || !c.waitUnstalled(d) {
				return
			}
			if len(next.bytes) == 0 {
				_ = to.CloseWrite()
				return
			}
			if _, err := to.Write(next.bytes); err != nil {
				c.abort()
				return
			}
			c.proxy.count(d, len(next.bytes))
		}
	}
}

// read fills the queue. While its direction is stalled it reads nothing, so that the sender is blocked.
func (c *conn) read(d direction, from *net.TCPConn, queue chan<- chunk) {
	defer close(queue)
	next := func() ([]byte, error) {
		buffer := make([]byte, 4<<10)
		n, err := from.Read(buffer)
		return buffer[:n], err //nolint:wrapcheck // compared with io.EOF
	}
	if d == down && c.proxy.redis.Load() {
		values := bufio.NewReader(from)
		next = func() ([]byte, error) { return readValue(values) }
	}
	for c.waitUnstalled(d) {
		bytes, err := next()
		if err != nil && !errors.Is(err, io.EOF) {
			c.abort()
			return
		}
		if err == nil && d == down && c.proxy.drops(bytes) {
			continue
		}
		if !c.enqueue(queue, bytes) {
			return
		}
		if err != nil {
			if len(bytes) > 0 { // the end of the stream is an empty chunk
				c.enqueue(queue, nil)
			}
			return
		}
	}
}

// enqueue adds a chunk to the queue. It returns false if the connection was cut.
func (c *conn) enqueue(queue chan<- chunk, bytes []byte) bool {
	f, _ := c.proxy.current()
	select {
	case queue <- chunk{bytes: bytes, due: time.Now().Add(f.delay)}:
		return true
	case <-c.cut:
		return false
	}
}

// waitUnstalled waits while the direction is stalled. It returns false if the connection was cut.
func (c *conn) waitUnstalled(d direction) bool {
	for {
		f, changed := c.proxy.current()
		select {
		case <-c.cut:
			return false
		default:
		}
		if !f.stalled[d] {
			return true
		}
		select {
		case <-changed:
		case <-c.cut:
			return false
		}
	}
}

// waitUntil waits until due. It returns false if the connection was cut.
func (c *conn) waitUntil(due time.Time) bool {
	left := time.Until(due)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.cut:
		return false
	}
}

// reset closes a connection with RST instead of FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
