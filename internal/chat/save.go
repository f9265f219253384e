package chat

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// send checks a message and saves it.
func (s *Consumer) send(ctx context.Context, in frame.Client) error {
	draft := room.Draft{
		Sender: s.user, SenderRole: s.role, Text: in.Message, Type: in.MessageType, Metadata: in.Metadata, ClientMessageID: in.ClientMessageID,
	}
	if s.role == room.Support {
		s.chat.metrics.message("refused")
		return s.Refuse(&room.Invalid{Code: "wrong_role", Detail: "support may read a room but not send"}, in.ClientMessageID)
	}
	if draft.Type == room.TypeText {
		draft.Type = "" // the default
	}
	bad := draft.Validate(s.chat.options.MaxMessageLength)
	if bad == nil && draft.Type == room.TypeSystem {
		bad = &room.Invalid{Code: "out_of_range", Field: "message_type", Detail: "message_type system is reserved for the operators of the server"}
	}
	if bad != nil {
		s.chat.metrics.message("refused")
		s.logRefused(bad)
		return s.Refuse(bad, in.ClientMessageID)
	}
	if s.pair.Load().Blocked(s.user) {
		s.chat.metrics.message("refused")
		s.LogRefused(errBlocked)
		return s.Refuse(errBlocked, in.ClientMessageID)
	}
	return s.save(ctx, in, draft)
}

// save stores a message, acknowledges it and publishes it, in this order.
func (s *Consumer) save(ctx context.Context, in frame.Client, draft room.Draft) error {
	log := s.Socket.Log()
	logged := s.chat.logLimiter.Allow()
	if logged {
		log.Info(component, "Message received", slog.Int("length", len(in.Message)))
	}
	began := time.Now()
	target, read, resets := s.beforeSend()
	m, duplicate, err := s.chat.store.Append(ctx, target.Conversation, draft)
	if err != nil {
		if errors.Is(err, room.ErrErased) {
			s.chat.metrics.message("refused")
			log.Warn(component, "Message refused: the sender is erased")
			return &frame.Close{Code: frame.CodeIdentity, Reason: "user_inactive"}
		}
		s.chat.metrics.message("failed")
		if errors.Is(err, room.ErrOutcomeUnknown) {
			s.chat.requestSweep() // if it is committed, nobody has published it
		}
		if errors.Is(err, room.ErrNotFound) {
			s.resetWithout(target.Conversation) // the client sends again, to the new conversation
		}
		log.Error(component, "Database error in save_message: "+err.Error(), slog.String("cause", cause.Of(err)))
		return s.Refuse(storeInvalid(err), in.ClientMessageID)
	}
	outcome := "stored"
	if duplicate {
		outcome = "duplicate"
	}
	s.chat.metrics.message(outcome)
	s.chat.metrics.commit.Observe(time.Since(began).Seconds())
	if logged {
		log.Info(component, "Message stored: "+m.ID.String(), slog.Int64("seq", m.Seq), slog.Bool("duplicate", duplicate))
	}
	s.markSent(target, read, resets)
	differs := duplicate && m.Differs(&draft)
	if differs {
		log.Warn(component, "Message repeated with other content, the first one stands: "+m.ID.String(), slog.Int64("seq", m.Seq))
	}
	full := s.acknowledge(frame.AppendAck(make([]byte, 0, 256), &m, duplicate, differs))
	// A duplicate is published again: perhaps the first publish failed.
	s.publish(&m, logged)
	return full
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
		return &room.Invalid{Code: "database_unavailable", Detail: "the database is unavailable; send the frame again, a message with the same client_message_id is stored only once"}
	}
	return &room.Invalid{Code: "internal", Detail: "the server failed; its log has the cause under the reference"}
}
