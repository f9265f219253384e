package session

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// blockedAfter is the time after which the bytes of a write are counted in the budget.
const blockedAfter = 100 * time.Millisecond

// closeWait is the timeout for the peer's Close after ours is sent.
const closeWait = 2 * time.Second

// maxAttempts is the number of write timeouts allowed for one batch. Without it a peer that
// reads a byte now and then could block a writer forever.
const maxAttempts = 3

// minProgress is the number of bytes that a peer must take within each write timeout. Only a
// batch with a large frame has more: a page of 256 KiB may take 80 s at the default timeout.
const minProgress = 32 << 10

// Opcodes of RFC 6455 §5.2, with the FIN bit.
const (
	opText   = 0x81
	opBinary = 0x82
	opClose  = 0x88
	opPing   = 0x89
	opPong   = 0x8a
)

// writeNow is the session's writer. It runs only while there are frames to write. Nothing else
// writes to the connection. If the session has to wait, for its peer or for a store, or has more
// frames than a batch holds, writeNow hands b over to [Session.writeAlone], and returns false.
func (s *Session) writeNow(b *batch) (keep bool) {
	for {
		b.reset()
		full, last := s.fill(b, false)
		if len(b.buf) > 0 {
			b.sent = s.tcp.TryWrite(b.buf)
			s.noteSent(b.sent)
		}
		if full || b.sent < len(b.buf) {
			go s.writeAlone(b, full, last)
			return false
		}
		if s.wrote(full, last) {
			s.registry.running.Done()
			return true
		}
	}
}

// writeAlone goes on with the batch of writeNow in a goroutine of the session, where it may wait.
func (s *Session) writeAlone(b *batch, full, last bool) {
	defer s.registry.running.Done()
	for {
		if b.sent < len(b.buf) && !s.send(b) {
			last = true
		}
		if s.wrote(full, last) {
			break
		}
		b.reset()
		full, last = s.fill(b, true)
	}
	freeBatch(b)
}

// wrote ends the writer after a batch, unless there is more to write, and reports whether it has
// ended.
func (s *Session) wrote(full, last bool) bool {
	s.mu.Lock()
	more := full || s.wakePending || (s.pingDue && !last)
	s.wakePending = false
	if last {
		s.writerDone, s.writing = true, false
	} else if !more {
		s.writing = false
	}
	ended, done := !s.writing, s.writerDone
	s.mu.Unlock()
	if last {
		_ = s.raw.SetReadDeadline(time.Now().Add(closeWait))
	}
	if ended && done {
		s.finish(false)
	}
	return ended
}

// fill collects the frames to write. full is true if there may be more, last if the batch
// contains the Close. Without wait it reads no store.
func (s *Session) fill(b *batch, wait bool) (full, last bool) {
	h, cause := s.begin(b)
	if cause == nil || flushesFirst(cause) {
		for len(b.buf) < batchBytes {
			m, err := s.nextMessage(h, wait)
			if errors.Is(err, frame.ErrWait) {
				return true, false
			}
			if err != nil {
				s.fail(err)
				break
			}
			if m.Data == nil {
				if m.Data = s.expiryWarning(); m.Data == nil {
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
			if s.log.Watched() {
				s.showFrame("Frame sent", m)
			}
		}
		if len(b.buf) >= batchBytes {
			return true, false
		}
	}
	if cause = s.ending(); cause == nil || (flushesFirst(cause) && s.handling.Load()) {
		return false, false
	}
	s.appendClose(b, cause)
	return false, true
}

// flushesFirst reports whether the pending messages are sent before the Close. A client that
// has to reconnect gets the answers to its messages first, and one that exceeds the rate gets
// its warnings.
func flushesFirst(c *frame.Close) bool {
	return c.Code == frame.CodeRestart || c.Code == frame.CodePolicy
}

func (s *Session) nextMessage(h Handler, wait bool) (m frame.Message, err error) {
	if h == nil {
		return frame.Message{}, nil
	}
	defer s.recoverPanic("Next")
	return h.Next(s.registry.ctx, wait)
}

// begin adds the ping and the pong that are due. It returns the handler, which is nil if the
// session was woken before [Session.Start], and the close with which the session ends, if any.
func (s *Session) begin(b *batch) (Handler, *frame.Close) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pendingPong != nil {
		b.append(opPong, []byte(*s.pendingPong))
		s.pendingPong = nil
	}
	if s.pingDue {
		b.append(opPing, nil)
		s.pingDue, s.pingSent = false, time.Now().UnixNano()
		if s.log.Watched() {
			s.log.Debug(s.endpoint.component, "Ping sent")
		}
	}
	return s.handler, s.cause
}

// appendClose adds the frame that explains the close, and the Close. Classic clients know no
// such frame.
func (s *Session) appendClose(b *batch, c *frame.Close) {
	if explain := c.Encode(s.log.Ref); explain != nil && !s.endpoint.classic {
		b.append(opText, explain)
	}
	payload := []byte{}
	if c.Code != 1005 && c.Code != 1006 { // RFC 6455 §7.4.1: must not be sent
		text := c.Text(s.log.Ref)
		if c.Reason == "" {
			text = "" // echoes the peer's code
		}
		code := c.Code
		if s.appCodes {
			code = frame.AppCode(code)
		}
		payload = append(binary.BigEndian.AppendUint16(nil, uint16(code)), text...)
	}
	b.append(opClose, payload)
}

// send writes a batch and reports whether the connection is still usable. It goes on while
// the peer takes minProgress bytes within each write timeout. One that takes fewer is a slow
// consumer: send completes the current frame, drops the rest and ends the session. A peer that
// takes no byte within the timeout is cut, because no Close can reach it.
//
// The bytes of a write that is still blocked after blockedAfter are taken from the account. If
// it has no room, the session ends with over_budget, and is cut.
func (s *Session) send(b *batch) bool {
	rest, timeout := b.buf[b.sent:], min(blockedAfter, s.registry.options.WriteTimeout)
	taken, progress := 0, 0
	defer func() { s.account.Give(taken) }()
	for attempt := 0; ; attempt++ {
		_ = s.raw.SetWriteDeadline(time.Now().Add(timeout))
		n, err := s.raw.Write(rest)
		s.noteSent(n)
		rest = rest[n:]
		progress += n
		switch {
		case err == nil:
			_ = s.raw.SetWriteDeadline(time.Time{}) // writeNow sets none
			return true
		case attempt == 0 && errors.Is(err, os.ErrDeadlineExceeded):
			if !s.account.Take(cap(b.buf)) {
				s.End(overBudget)
				s.cut("server", err)
				return false
			}
			taken, timeout = cap(b.buf), s.registry.options.WriteTimeout-blockedAfter
			if s.log.Watched() {
				s.log.Debug(s.endpoint.component, "Write blocked", slog.Int("bytes", len(rest)))
			}
			continue
		case progress == 0 || attempt == maxAttempts || !errors.Is(err, os.ErrDeadlineExceeded):
			s.cut("network", err)
			return false
		}
		timeout = s.registry.options.WriteTimeout
		if s.ending() == nil {
			if progress >= minProgress {
				attempt = 0
			} else {
				s.End(slowConsumer)
				rest = b.restOfFrame(len(b.buf) - len(rest))
			}
		}
		progress = 0
	}
}

// noteSent notes that the peer's kernel connection has taken n bytes.
func (s *Session) noteSent(n int) {
	if n > 0 {
		s.sentBytes.Add(uint64(n))
		s.lastActive.Store(time.Now().UnixNano())
	}
}

// slowConsumer is the close for a peer that reads too slowly.
var slowConsumer = &frame.Close{
	Code: frame.CodeTryLater, Reason: "slow_consumer", After: time.Second,
	Detail: "the client reads too slowly",
}

// overBudget is the close for a peer that leaves more unread than its share of the budget.
var overBudget = &frame.Close{
	Code: frame.CodeTryLater, Reason: "over_budget", After: time.Second,
	Detail: "the replica is short of memory for what the client leaves unread",
}
