package chat

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// hold is how long a hole in seq is given to close by itself.
	hold = 50 * time.Millisecond
	// ackHold is how long an ack waits for its message.
	ackHold = 5 * time.Millisecond
	// holdFrames is how many messages behind the hole end the wait.
	holdFrames = 16
	// page is how many messages are read from the store at once.
	page = 100
	// replayBytes is how much text of these a socket keeps.
	replayBytes = 20 << 10
	// retryLeast and retryMost bound the waits between reads that fail.
	retryLeast, retryMost = 100 * time.Millisecond, 5 * time.Second

	// A client that is further behind than this, by its own fault, has to come back
	// and resume.
	maxBehind    = 1000
	maxBehindFor = 10 * time.Second
)

// Next returns what the socket is to be sent now: first the answers to its own
// frames, then the messages in the order of seq, from wherever they have to come.
func (s *Consumer) Next(ctx context.Context) (frame.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.out.Take(); m.Data != nil {
		return m, nil
	}
	if !s.open || s.closed {
		return frame.Message{}, nil
	}
	if s.resume != nil && s.cursor.seen >= s.resume.ToSeq {
		m := frame.Message{Data: frame.Encode(s.resume)}
		s.resume = nil
		return m, nil
	}
	if m, err := s.replayed(); m.Data != nil || err != nil {
		return m, err
	}
	if d, ok := s.cursor.next(); ok {
		if s.behind(d.seq, d.at) {
			return frame.Message{}, slow("the client fell behind the conversation")
		}
		s.handedOut()
		return frame.Message{Data: d.frame}, nil
	}
	if s.cursor.gap || s.cursor.hole() {
		if s.wait() {
			return frame.Message{}, nil
		}
		s.fetch(ctx)
		return s.replayed() // where there is nothing, fetch has seen to the next look
	}
	s.level, s.overflowed = time.Now().UnixNano(), 0
	if s.acking { // it is out
		s.timer.Stop()
		s.timer, s.acking = nil, false // an idle socket keeps none
	}
	return frame.Message{}, nil
}

// replayed returns the next message of those that were read from the store.
func (s *Consumer) replayed() (frame.Message, error) {
	for len(s.replay) > 0 {
		m := &s.replay[0]
		s.replay = s.replay[1:]
		if m.Seq <= s.cursor.seen {
			continue
		}
		if s.behind(m.Seq, s.overflowed) {
			return frame.Message{}, slow("the client fell behind the conversation")
		}
		s.cursor.skipTo(m.Seq)
		s.handedOut()
		return frame.Message{Data: frame.AppendMessage(make([]byte, 0, 320+len(m.Text)), m)}, nil
	}
	s.replay = nil
	return frame.Message{}, nil
}

func (s *Consumer) handedOut() {
	s.chat.metrics.delivered.Inc()
	if len(s.cursor.inbox) == 0 && !s.cursor.gap {
		s.lookAt = 0
	}
}

// behind judges the reader by a message that is about to be handed out and the
// time of its arrival (0: unknown). Only what is the reader's own fault counts:
// not what it resumes with, nor a time in which this replica had nothing to give.
func (s *Consumer) behind(seq, arrived int64) bool {
	if seq <= s.target {
		return false
	}
	if s.cursor.latest-seq >= maxBehind {
		return true
	}
	return arrived != 0 && time.Now().UnixNano()-max(arrived, s.level) > int64(maxBehindFor)
}

// wait reports whether it is too early to ask the store, and sees to it that the
// socket looks again.
func (s *Consumer) wait() bool {
	now := time.Now()
	if !s.chat.up() {
		s.waiting = true // the layer tells every member when it is back
		return true
	}
	if s.lookAt == 0 && !s.cursor.gap && len(s.cursor.inbox) < holdFrames {
		s.lookAt = now.Add(hold).UnixNano()
	}
	if s.attempts == 0 && (s.cursor.gap || len(s.cursor.inbox) >= holdFrames) {
		return false
	}
	left := time.Duration(s.lookAt - now.UnixNano())
	if left <= 0 {
		return false
	}
	s.waiting = true
	s.look(left)
	return true
}

// look makes the writer look again after d.
func (s *Consumer) look(d time.Duration) {
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.socket.Wake)
	} else {
		s.timer.Reset(d)
	}
}
