package chat

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// save stores a message, acknowledges it and publishes it, in this order.
func (s *Consumer) save(ctx context.Context, in frame.Client, draft room.Draft) error {
	log := s.socket.Log()
	told := s.chat.lines.Allow()
	if told {
		log.Info(component, "Message received", slog.Int("length", len(in.Message)))
	}
	began := time.Now()
	m, duplicate, err := s.chat.store.Append(ctx, s.conversation, draft)
	if err != nil {
		s.chat.metrics.message("failed")
		if errors.Is(err, room.ErrOutcomeUnknown) {
			s.chat.doubt() // it may be committed, and then somebody has to see it
		}
		log.Error(component, "Database error in save_message: "+err.Error(), slog.String("cause", cause.Of(err)))
		return s.refuse(in, storeInvalid(err))
	}
	outcome := "stored"
	if duplicate {
		outcome = "duplicate"
	}
	s.chat.metrics.message(outcome)
	s.chat.metrics.commit.Observe(time.Since(began).Seconds())
	if told {
		log.Info(component, "Message stored: "+m.ID.String(), slog.Int64("seq", m.Seq), slog.Bool("duplicate", duplicate))
	}
	full := s.acknowledge(frame.AppendAck(make([]byte, 0, 256), &m, duplicate))
	// A duplicate is published again: the first time may have been what failed.
	s.publish(&m, told)
	return full
}
