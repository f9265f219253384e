package chat

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// The refusals of drafts that are valid. They are final.
var (
	errSupport = &room.Invalid{Code: "wrong_role", Detail: "support may read a room but not send"}
	errSystem  = &room.Invalid{Code: "out_of_range", Field: "message_type", Detail: "message_type system is reserved for the operators of the server"}
)

// send stores the message of a frame, acknowledges it and publishes it, in this order.
func (s *Consumer) send(ctx context.Context, in frame.Client) error {
	draft := room.Draft{Text: in.Message, Type: in.MessageType, Metadata: in.Metadata, ClientMessageID: in.ClientMessageID}
	if bad := s.check(&draft, s.chat.options.MaxMessageLength); bad != nil {
		return s.Refuse(bad, in.ClientMessageID)
	}
	target, read, resets := s.beforeSend()
	saved, err := s.save(ctx, target.Conversation, &draft)
	if bad, ok := errors.AsType[*room.Invalid](err); ok {
		return s.Refuse(bad, in.ClientMessageID)
	}
	if err != nil {
		return err
	}
	s.markSent(target, read, resets)
	m := &saved.message
	differs := saved.duplicate && m.Differs(&draft)
	if differs {
		s.Socket.Log().Warn(component, "Message repeated with other content, the first one stands: "+m.ID.String(), slog.Int64("seq", m.Seq))
	}
	full := s.acknowledge(frame.AppendAck(make([]byte, 0, 256), m, saved.duplicate, differs))
	// A duplicate is published again: perhaps the first publish failed.
	s.publish(m, saved.logged)
	return full
}

// Send stores and publishes a message of the user as a frame of the client would, but answers
// nothing and moves no cursor. It is for endpoints of another form, and checks no maximum length.
// It waits for the commit. It returns nil if the message is stored, also if it was before. The
// error is a [*room.Invalid] if the message is refused: it may be sent again if the code is
// database_unavailable or internal, and is stored once if it has a ClientMessageID. Other errors
// end the session. The caller must have opened the consumer, and sends one message at a time.
func (s *Consumer) Send(ctx context.Context, d room.Draft) error {
	if bad := s.check(&d, math.MaxInt); bad != nil {
		return bad
	}
	s.Mu.Lock()
	conversation := s.conversation
	s.Mu.Unlock()
	saved, err := s.save(ctx, conversation, &d)
	if err != nil {
		return err
	}
	s.publish(&saved.message, saved.logged)
	return nil
}

// check completes a draft of the user, and returns why it is refused, or nil. It logs and counts
// that.
func (s *Consumer) check(draft *room.Draft, maxText int) *room.Invalid {
	s.chat.options.Failures.Attempt(failure.Send)
	draft.Sender, draft.SenderRole = s.user, s.role
	if draft.Type == room.TypeText {
		draft.Type = "" // the default
	}
	if s.role == room.Support && !s.chat.options.SupportMaySend {
		s.refused(errSupport)
		return errSupport
	}
	bad := draft.Validate(maxText)
	switch {
	case bad != nil:
	case draft.Type == room.TypeSystem:
		bad = errSystem
	default:
		return nil
	}
	s.refused(bad)
	s.logRefused(bad)
	return bad
}

// refused counts a message that is refused.
func (s *Consumer) refused(bad *room.Invalid) {
	s.chat.metrics.message("refused")
	s.chat.options.Failures.Refused(failure.Send, bad.Code)
}

// A stored is a message that was stored.
type stored struct {
	message   room.Message
	duplicate bool // it was stored before
	logged    bool // not left out by sampling
}

// save stores a draft. The error is a [*room.Invalid] that refuses it, or ends the session.
func (s *Consumer) save(ctx context.Context, conversation room.ID, draft *room.Draft) (stored, error) {
	log := s.Socket.Log()
	logged := s.chat.logLimiter.Allow() || log.Watched()
	if logged {
		log.Info(component, "Message received", slog.Int("length", len(draft.Text)))
	}
	began := time.Now()
	m, duplicate, err := s.append(ctx, conversation, draft)
	if errors.Is(err, error(errBlocked)) {
		s.chat.metrics.message("refused")
		s.logRefused(errBlocked)
		return stored{}, errBlocked
	}
	if err != nil {
		return stored{}, s.saveFailed(conversation, err)
	}
	outcome := "stored"
	if duplicate {
		outcome = "duplicate"
	}
	s.chat.metrics.message(outcome)
	took := time.Since(began)
	s.chat.metrics.commit.observe(took.Seconds(), began.Add(took).UnixNano(), log)
	if took > slowAfter {
		s.chat.options.slow(s.room, "commit", took)
	}
	if log.Watched() {
		log.Debug(component, "Message committed", slog.Int64("seq", m.Seq), slog.Int("length", len(draft.Text)), slog.Duration("took", took), slog.Bool("duplicate", duplicate))
	}
	if logged {
		log.Info(component, "Message stored: "+m.ID.String(), slog.Int64("seq", m.Seq), slog.Bool("duplicate", duplicate))
	}
	return stored{m, duplicate, logged}, nil
}

// append stores a draft. A blocked user cannot send, but still learns of a message that was
// stored before the block: its acknowledgement may have been lost.
func (s *Consumer) append(ctx context.Context, conversation room.ID, draft *room.Draft) (m room.Message, duplicate bool, err error) {
	if !s.pair.Load().Blocked(s.user) {
		return s.chat.store.Append(ctx, conversation, *draft) //nolint:wrapcheck // the store has named the operation
	}
	if draft.ClientMessageID != "" {
		m, duplicate, err = s.chat.store.Repeated(ctx, conversation, *draft)
	}
	if err == nil && !duplicate {
		err = errBlocked
	}
	return m, duplicate, err //nolint:wrapcheck // the store has named the operation
}

// saveFailed logs and counts that a message was not stored, and returns the error of save.
func (s *Consumer) saveFailed(conversation room.ID, err error) error {
	log := s.Socket.Log()
	if errors.Is(err, room.ErrErased) {
		s.chat.metrics.message("refused")
		s.chat.options.Failures.Refused(failure.Send, "user_inactive")
		log.Warn(component, "Message refused: the sender is erased")
		return &frame.Close{Code: frame.CodeIdentity, Reason: "user_inactive"}
	}
	s.chat.metrics.message("failed")
	if errors.Is(err, room.ErrOutcomeUnknown) {
		s.chat.requestSweep() // if it is committed, nobody has published it
	}
	if errors.Is(err, room.ErrNotFound) {
		s.resetWithout(conversation) // the client sends again, to the new conversation
	}
	log.Error(component, "Database error in save_message: "+err.Error(), slog.String("cause", cause.Of(err)))
	log.Note(component, "Database error in save_message", slog.String("cause", cause.Of(err)))
	bad := storeInvalid(err)
	s.chat.options.Failures.Failed(failure.Send, bad.Code, err)
	return bad
}

// acknowledge queues an ack. The message is about to arrive from Redis for this
// socket too, and one write can carry both, so the ack waits for it up to ackDelay.
func (s *Consumer) acknowledge(ack []byte) error {
	if !s.chat.layerUp() {
		return s.Answer(ack)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if err := s.QueueLocked(frame.Message{Data: ack}); err != nil {
		return err
	}
	s.ackTimer = true
	s.wakeAfter(ackDelay)
	return nil
}

// storeInvalid returns the refusal of a frame that the store could not handle.
func storeInvalid(err error) *room.Invalid {
	if errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrNotFound) {
		return &room.Invalid{Code: "database_unavailable", Detail: cause.Describe(err, "the database is unavailable; send the frame again, a message with the same client_message_id is stored only once")}
	}
	return &room.Invalid{Code: "internal", Detail: "the server failed; its log has the cause under the reference"}
}
