package dialect

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// A desk is a sender that answers as a test says.
type desk struct {
	answer func(attempt int) error
	drafts []room.Draft
}

func (d *desk) Send(_ context.Context, draft room.Draft) error {
	d.drafts = append(d.drafts, draft)
	return d.answer(len(d.drafts))
}

func (d *desk) receive(t *testing.T, text string) error {
	t.Helper()
	log := &logging.Conn{Log: slog.New(slog.DiscardHandler)}
	c := &chat{sender: d, user: 1, role: room.Customer, log: log, metrics: newMetrics(prometheus.NewRegistry())}
	return c.Receive(t.Context(), frame.Message{Data: []byte(text)})
}

func TestASendIsRepeatedUntilItIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := &desk{answer: func(attempt int) error {
			switch {
			case time.Since(began) > 20*time.Second:
				return nil
			case attempt == 3:
				return &room.Invalid{Code: "internal"}
			}
			return &room.Invalid{Code: "database_unavailable"}
		}}
		if err := d.receive(t, `{"message":" x "}`); err != nil {
			t.Fatal(err)
		}
		first := d.drafts[0]
		if first.Text != "x" || first.Sender != 1 || first.SenderRole != room.Customer || len(first.ClientMessageID) < 20 || len(first.ClientMessageID) > room.MaxClientMessageID {
			t.Errorf("the draft is %+v", first)
		}
		if slices.ContainsFunc(d.drafts, func(other room.Draft) bool { return other != first }) {
			t.Errorf("the draft changes: %+v", d.drafts)
		}
		if n, took := len(d.drafts), time.Since(began); n < 10 || n > 40 || took > 23*time.Second {
			t.Errorf("%d attempts in %v", n, took)
		}
	})
}

func TestASendThatIsNotStoredInTimeEndsTheSocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := &desk{answer: func(int) error { return &room.Invalid{Code: "database_unavailable"} }}
		err := d.receive(t, `{"message":"x"}`)
		c, ok := errors.AsType[*frame.Close](err)
		if !ok || c.Code != 1011 || c.Reason != "database_unavailable" {
			t.Fatalf("the socket ends with %v", err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("after %v, want 30s", took)
		}
	})
}

func TestARefusedSendIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"blocked", "wrong_role", "out_of_range"} {
		d := &desk{answer: func(int) error { return &room.Invalid{Code: code} }}
		if err := d.receive(t, `{"message":"x"}`); err != nil || len(d.drafts) != 1 {
			t.Errorf("%s: %v after %d attempts", code, err, len(d.drafts))
		}
	}
	closed := &frame.Close{Code: 4001, Reason: "user_inactive"}
	d := &desk{answer: func(int) error { return closed }}
	if err := d.receive(t, `{"message":"x"}`); !errors.Is(err, closed) || len(d.drafts) != 1 {
		t.Errorf("a close: %v after %d attempts", err, len(d.drafts))
	}
	if err := d.receive(t, `{"message":""}`); err != nil || len(d.drafts) != 1 {
		t.Errorf("an empty message: %v after %d attempts", err, len(d.drafts))
	}
}
