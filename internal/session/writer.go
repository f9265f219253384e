package session

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// closeWait is how long the peer's Close is waited for once ours is out.
const closeWait = 2 * time.Second

// maxAttempts bounds how often the write time-out may pass within one batch: a
// peer that takes a byte now and then must not hold a writer for ever.
const maxAttempts = 3

// batchBytes is how much the writer gathers before it writes: one system call
// and one packet for what has piled up, and the most that a stalled socket holds.
const batchBytes = 8 << 10

// Opcodes of RFC 6455 §5.2, with the FIN bit.
const (
	opText   = 0x81
	opBinary = 0x82
	opClose  = 0x88
	opPing   = 0x89
	opPong   = 0x8a
)

// A batch is what one write carries, and where each of its frames ends.
type batch struct {
	buf  []byte
	ends []int
}

var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, 0, batchBytes+1024)} }}

// append adds a frame. A server's frames are not masked (RFC 6455 §5.1), so one
// encoding of a message serves all its sockets.
func (b *batch) append(op byte, payload []byte) {
	switch n := len(payload); {
	case n < 126:
		b.buf = append(b.buf, op, byte(n))
	case n < 1<<16:
		b.buf = binary.BigEndian.AppendUint16(append(b.buf, op, 126), uint16(n))
	default:
		b.buf = binary.BigEndian.AppendUint64(append(b.buf, op, 127), uint64(n))
	}
	b.buf = append(b.buf, payload...)
	b.ends = append(b.ends, len(b.buf))
}

// write is the session's writer. It exists only while there is something to say,
// and it alone writes to the connection.
func (s *Session) write() {
	b, ok := batches.Get().(*batch)
	if !ok {
		panic("the pool holds batches")
	}
	defer s.leave(false)
	for {
		b.buf, b.ends = b.buf[:0], b.ends[:0]
		full, last := s.fill(b)
		if len(b.buf) > 0 && !s.send(b) {
			last = true
		}
		s.mu.Lock()
		more := full || s.again || (s.pingDue && !last)
		s.again = false
		if last {
			s.writerDone, s.writing = true, false
		} else if !more {
			s.writing = false
		}
		stop := !s.writing
		s.mu.Unlock()
		if last {
			_ = s.raw.SetReadDeadline(time.Now().Add(closeWait))
		}
		if stop {
			break
		}
	}
	if cap(b.buf) <= 4*batchBytes {
		batches.Put(b)
	}
}

// fill gathers what there is to write. It reports whether there may be more, and
// whether the Close is in the batch.
func (s *Session) fill(b *batch) (full, last bool) {
	s.control(b)
	cause := s.ending()
	if cause == nil || patient(cause) {
		for len(b.buf) < batchBytes {
			m, err := s.next()
			if err != nil {
				s.fail(err)
				break
			}
			if m.Data == nil {
				if m.Data = s.warning(); m.Data == nil {
					break
				}
			}
			op := byte(opText)
			if m.Binary {
				op = opBinary
			}
			b.append(op, m.Data)
			s.sent.Add(1)
			s.endpoint.sent.Inc()
		}
		if len(b.buf) >= batchBytes {
			return true, false
		}
	}
	if cause = s.ending(); cause == nil || (patient(cause) && s.handling.Load()) {
		return false, false
	}
	s.goodbye(b, cause)
	return false, true
}

// patient reports whether a close waits for what the client is owed: who is asked
// to go elsewhere gets first the answers to what it has sent, and who is closed for
// breaking a limit was told of it.
func patient(c *frame.Close) bool { return c.Code == frame.CodeRestart || c.Code == frame.CodePolicy }

func (s *Session) next() (m frame.Message, err error) {
	if s.handler == nil {
		return frame.Message{}, nil
	}
	defer s.recovered("Next")
	return s.handler.Next(s.registry.ctx)
}

// control gathers the ping that is due and the pong that is owed.
func (s *Session) control(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pong != nil {
		b.append(opPong, []byte(*s.pong))
		s.pong = nil
	}
	if s.pingDue {
		b.append(opPing, nil)
		s.pingDue, s.pinged = false, time.Now().UnixNano()
	}
}

// goodbye gathers the frames that explain the end, and the Close.
func (s *Session) goodbye(b *batch, c *frame.Close) {
	if explain := c.Encode(s.log.Ref); explain != nil {
		b.append(opText, explain)
	}
	payload := []byte{}
	if c.Code != 1005 && c.Code != 1006 { // RFC 6455 §7.4.1: never on the wire
		text := c.Text(s.log.Ref)
		if c.Reason == "" {
			text = "" // the peer's own code, echoed
		}
		payload = append(binary.BigEndian.AppendUint16(nil, uint16(c.Code)), text...)
	}
	b.append(opClose, payload)
}

// send writes a batch. As long as the peer takes some bytes within the write
// time-out it goes on; but a peer that needs longer than that is a slow consumer,
// and gets no more than the frame that is under way, and the Close. A peer that
// takes no byte is cut: no Close can reach it.
func (s *Session) send(b *batch) bool {
	rest := b.buf
	for attempt := 1; ; attempt++ {
		_ = s.raw.SetWriteDeadline(time.Now().Add(s.registry.options.WriteTimeout))
		n, err := s.raw.Write(rest)
		s.sentBytes.Add(uint64(n))
		rest = rest[n:]
		switch {
		case err == nil:
			s.active.Store(time.Now().UnixNano())
			return true
		case n == 0 || attempt == maxAttempts || !errors.Is(err, os.ErrDeadlineExceeded):
			s.cut("network", err)
			return false
		}
		if s.ending() == nil {
			s.End(slowConsumer)
			rest = b.through(len(b.buf) - len(rest))
		}
	}
}

// slowConsumer ends a session whose peer takes too long to read.
var slowConsumer = &frame.Close{
	Code: frame.CodeTryLater, Reason: "slow_consumer", After: time.Second,
	Detail: "the client reads too slowly",
}

// through returns what is left of the frame that holds the byte at written.
func (b *batch) through(written int) []byte {
	for _, end := range b.ends {
		if end >= written {
			return b.buf[written:end]
		}
	}
	return nil
}
