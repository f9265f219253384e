package connect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// deliveredInterval is the minimum time between two delivered frames. The server stores at most
// one a second.
const deliveredInterval = time.Second

// conversationState is what the view knows about the state of the conversation. The mutex of the
// view guards it.
type conversationState struct {
	receipts bool // the server takes receipts from us; support sends none
	shown    int64
	told     int64 // the server knows that we have received the messages up to here
	peer     int64 // the other side; 0 if unknown
	cursor   room.Cursor
}

// open takes the connected frame.
func (s *conversationState) open(f *client.Frame) {
	if s.receipts = f.Peer != nil; s.receipts {
		s.told, s.peer = f.DeliveredSeq, f.Peer.ID
		s.cursor = room.Cursor{Delivered: f.Peer.DeliveredSeq, Read: f.Peer.ReadSeq}
	}
}

// raise takes a receipt.
func (s *conversationState) raise(f *client.Frame) {
	c := room.Cursor{Delivered: f.Seq}
	if f.Type == frame.TypeRead {
		c.Read = f.Seq
	}
	if f.UserID == s.peer {
		s.cursor = s.cursor.Advanced(c)
	}
}

func (s *conversationState) undelivered() bool { return s.receipts && s.shown > s.told }

// ticks returns how far an own message has got.
func (s *conversationState) ticks(seq int64) string {
	switch {
	case seq <= s.cursor.Read:
		return "✓✓ read"
	case seq <= s.cursor.Delivered:
		return "✓✓ delivered"
	default:
		return "✓"
	}
}

// stateText describes the state of the conversation in a connected frame.
func stateText(f *client.Frame) string {
	p := f.Peer
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("  %d unread  user %d", f.Unread, p.ID)
	if p.Online != nil {
		text += " is " + presenceText(*p.Online, p.LastSeen) + ","
	}
	return text + " " + cursorText(p)
}

func cursorText(p *client.Peer) string {
	switch {
	case p.DeliveredSeq == 0:
		return "has received nothing yet"
	case p.ReadSeq == p.DeliveredSeq:
		return "has read up to " + seqText(p.ReadSeq)
	case p.ReadSeq == 0:
		return "has received up to " + seqText(p.DeliveredSeq) + ", read nothing yet"
	default:
		return "has received up to " + seqText(p.DeliveredSeq) + ", read up to " + seqText(p.ReadSeq)
	}
}

// activityText describes typing, presence and receipts. It returns "" for other frames.
func (v *view) activityText(f *client.Frame) string {
	switch {
	case f.Type == frame.TypeTyping && f.IsTyping:
		return fmt.Sprintf("user %d is typing …", f.UserID)
	case f.Type == frame.TypeTyping:
		return fmt.Sprintf("user %d stopped typing", f.UserID)
	case f.Type == frame.TypePresence:
		return fmt.Sprintf("user %d is %s", f.UserID, presenceText(f.Online, f.LastSeen))
	case f.Type == frame.TypeDelivered, f.Type == frame.TypeRead:
		if v.isOwn(f.UserID, "") {
			return fmt.Sprintf("you: %s up to %s", f.Type, seqText(f.Seq))
		}
		return fmt.Sprintf("✓✓ %s up to %s by user %d", f.Type, seqText(f.Seq), f.UserID)
	}
	return ""
}

// confirmDelivery tells the server which messages were shown, until the session ends.
func (r *repl) confirmDelivery(ctx context.Context) {
	for {
		r.view.wait(ctx, r.session.Done(), r.view.state.undelivered)
		r.sendDelivered()
		pause := time.NewTimer(deliveredInterval)
		select {
		case <-pause.C:
		case <-r.session.Done():
		case <-ctx.Done():
		}
		pause.Stop()
		if r.hasEnded(ctx) {
			return
		}
	}
}

// sendDelivered sends a delivered frame if there is something new. If the socket is lost with it,
// the next connected frame says so.
func (r *repl) sendDelivered() {
	v := r.view
	v.mu.Lock()
	seq := v.state.shown
	send := v.state.undelivered()
	if send {
		v.state.told = seq
	}
	v.mu.Unlock()
	if send {
		_ = r.session.SendReceipt(client.Delivered, seq)
	}
}

// sendRead says that we have read all messages up to the one with the given number, or all that
// were shown.
func (r *repl) sendRead(ctx context.Context, argument string) error {
	if r.terminal == nil {
		r.view.waitConnected(ctx, r.session.Done())
	}
	seq, err := r.view.parseSeq(argument)
	if err != nil {
		return err
	}
	return r.sendRaw(ctx, client.EncodeReceipt(client.Read, seq))
}

// parseSeq returns the number in an argument of /read; by default that of the last message.
func (v *view) parseSeq(argument string) (int64, error) {
	if argument != "" {
		seq, err := strconv.ParseInt(strings.TrimPrefix(argument, "#"), 10, 64)
		if err != nil || seq < 1 {
			return 0, errors.New("/read takes the number of a message")
		}
		return seq, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.highest == 0 {
		return 0, errors.New("there is no message to mark as read")
	}
	return v.highest, nil
}

// sendTyping says that we write a message, or have stopped.
func (r *repl) sendTyping(ctx context.Context, argument string) error {
	switch strings.ToLower(argument) {
	case "", "on":
		return r.sendRaw(ctx, []byte(`{"type":"typing","is_typing":true}`))
	case "off":
		return r.sendRaw(ctx, []byte(`{"type":"typing","is_typing":false}`))
	default:
		return errors.New("/typing takes on, off or nothing")
	}
}
