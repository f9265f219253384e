package netfault

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// ListenRedis is like Listen for a Redis server. Such a proxy can drop published messages: see DropPublished.
func ListenRedis(target string) (*Proxy, error) {
	p, err := Listen(target)
	if err == nil {
		p.redis.Store(true)
	}
	return p, err
}

// DropPublished drops every nth message of Redis Pub/Sub on its way to a subscriber, as an overloaded subscriber's buffer
// would; 0 ends it. Everything else passes. It has an effect on connections of a proxy that ListenRedis has started.
func (p *Proxy) DropPublished(n int) { p.change(func(f *fault) { f.dropEvery = n }) }

// drops reports whether a value from Redis is a published message that the fault drops.
func (p *Proxy) drops(value []byte) bool {
	if !isPublished(value) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published++
	if p.fault.dropEvery == 0 || p.published%int64(p.fault.dropEvery) != 0 {
		return false
	}
	p.counts.Dropped++
	return true
}

// isPublished reports whether a value is a message of a channel, of plain or sharded Pub/Sub, in RESP2 or RESP3.
func isPublished(value []byte) bool {
	for _, start := range []string{"*3\r\n$7\r\nmessage\r\n", ">3\r\n$7\r\nmessage\r\n", "*3\r\n$8\r\nsmessage\r\n", ">3\r\n$8\r\nsmessage\r\n"} {
		if bytes.HasPrefix(value, []byte(start)) {
			return true
		}
	}
	return false
}

// readValue reads one value of RESP, and returns it as it was on the wire. At the end of the stream it returns what there
// was of the value.
func readValue(r *bufio.Reader) (value []byte, err error) {
	for left := 1; left > 0; left-- {
		line, err := r.ReadSlice('\n')
		value = append(value, line...)
		if err != nil {
			return value, err //nolint:wrapcheck // the caller compares it with io.EOF
		}
		if len(line) < 3 {
			return value, fmt.Errorf("an empty line is no RESP: %q", value)
		}
		n, _ := strconv.Atoi(string(line[1 : len(line)-2])) // -1 stands for null
		switch line[0] {
		case '$', '=', '!':
			if n < 0 {
				break
			}
			body := make([]byte, n+2)
			read, err := io.ReadFull(r, body)
			value = append(value, body[:read]...)
			if err != nil {
				return value, io.EOF
			}
		case '*', '>', '~':
			left += max(n, 0)
		case '%', '|':
			left += 2 * max(n, 0)
		}
	}
	return value, nil
}
