package chat

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// holeWait is how long a missing message may arrive late before the store is read.
	holeWait = 50 * time.Millisecond
	// holeFrames is the number of messages behind a hole that end the wait.
	holeFrames = 16
	// ackDelay is how long an ack waits for its message.
	ackDelay = 5 * time.Millisecond
	// firstRows and maxRows bound the messages that one read for the replay asks for.
	firstRows, maxRows = 32, 100
	// replayBytes bounds the messages that a socket keeps for the replay.
	replayBytes = 48 << 10
	// minRetry and maxRetry bound the backoff between failed reads of the store.
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second

	// A client that is further behind by its own fault is closed, and may resume.
	maxBehind    = 1000
	maxBehindFor = 10 * time.Second
)

// Next returns the next frame to send: first the answers of the outbox and the page of history,
// then the messages in the order of seq, from the inbox or from the store, then receipts, and at
// last the hints. It does not wait for the store, except after a reset.
func (s *Consumer) Next(ctx context.Context, wait bool) (frame.Message, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if m := s.TakeLocked(); m.Data != nil {
		return m, nil
	}
	if !s.opened || s.closed {
		return frame.Message{}, nil
	}
	if s.failure != nil {
		return frame.Message{}, s.failure
	}
	if s.mustReload() {
		if !wait {
			return frame.Message{}, frame.ErrWait
		}
		if !s.reload(ctx) {
			return frame.Message{}, nil // reload has scheduled a retry
		}
	}
	if page := s.takePage(); page != nil {
		return frame.Message{Data: page}, nil
	}
	s.startHistory(ctx)
	if s.resume != nil && s.cursor.seen >= s.resume.ToSeq {
		m := frame.Message{Data: frame.Encode(s.resume)}
		s.resume = nil
		return m, nil
	}
	if m, err := s.nextReplayed(); m.Data != nil || err != nil {
		return m, err
	}
	if d, ok := s.cursor.next(); ok {
		if s.tooFarBehind(d.Seq, d.arrived) {
			return frame.Message{}, endpoint.SlowConsumer("the client fell behind the conversation")
		}
		s.countDelivered(d.Seq, d.Sender)
		return frame.Message{Data: d.Frame, Seq: d.Seq, Number: d.Number, Sender: d.Sender, At: d.At}, nil
	}
	if s.cursor.gap || s.cursor.hasHole() {
		s.startHistory(ctx)
		s.startFetch(ctx)
		return frame.Message{}, nil // the read wakes the writer
	}
	now := time.Now().UnixNano()
	s.caughtUpAt, s.overflowedAt = now, 0
	if m := s.nextReceipt(); m.Data != nil {
		return m, nil
	}
	if m := s.nextHint(now); m.Data != nil {
		return m, nil
	}
	if s.ackTimer && len(s.asked) == 0 { // the ack is sent, and no page waits for the timer
		s.timer.Stop()
		s.timer, s.ackTimer = nil, false // an idle socket keeps no timer
	}
	return frame.Message{}, nil
}

// nextReplayed returns the next message of the replay.
func (s *Consumer) nextReplayed() (frame.Message, error) {
	for len(s.replay) > 0 {
		m := &s.replay[0]
		s.replay = s.replay[1:]
		if m.Seq <= s.cursor.seen {
			continue
		}
		if s.tooFarBehind(m.Seq, s.overflowedAt) {
			return frame.Message{}, endpoint.SlowConsumer("the client fell behind the conversation")
		}
		s.cursor.skipTo(m.Seq)
		s.countDelivered(m.Seq, m.Sender)
		return frame.Message{Data: encode(m), Seq: m.Seq, Number: m.Number, Sender: m.Sender, At: m.At.UnixMicro()}, nil
	}
	s.dropReplay()
	return frame.Message{}, nil
}

// countDelivered notes that the client is sent a message.
func (s *Consumer) countDelivered(seq int64, sender room.UserID) {
	s.receipts.noteSent(seq, sender == s.user)
	s.chat.metrics.delivered.Inc()
	if len(s.cursor.inbox) == 0 && !s.cursor.gap {
		s.fetchAt = 0
	}
}

// tooFarBehind reports whether the client reads too slowly. seq is the message to be
// sent and arrived the time of its arrival, 0 if unknown. The client is not blamed
// for messages that it resumes with, nor for a delay of this replica.
func (s *Consumer) tooFarBehind(seq, arrived int64) bool {
	if seq <= s.excusedSeq {
		return false
	}
	if s.cursor.latest-seq >= maxBehind {
		return true
	}
	return arrived != 0 && time.Now().UnixNano()-max(arrived, s.caughtUpAt) > int64(maxBehindFor)
}

// mustWait reports whether it is too early to read the store. If so, the writer is
// woken in time.
func (s *Consumer) mustWait() bool {
	now := time.Now()
	if !s.chat.layerUp() {
		s.delayed = true // the layer calls missed when it is up again
		return true
	}
	if s.fetchAt == 0 && !s.cursor.gap && len(s.cursor.inbox) < holeFrames {
		s.fetchAt = now.Add(holeWait).UnixNano()
	}
	if s.attempts == 0 && (s.cursor.gap || len(s.cursor.inbox) >= holeFrames) {
		return false
	}
	left := time.Duration(s.fetchAt - now.UnixNano())
	if left <= 0 {
		return false
	}
	s.delayed = true
	s.wakeAfter(left)
	return true
}

// wakeAfter wakes the writer after d.
func (s *Consumer) wakeAfter(d time.Duration) {
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.Socket.Wake)
	} else {
		s.timer.Reset(d)
	}
}
