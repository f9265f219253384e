package connect

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// show writes an event as text.
func (v *view) show(e client.Event) {
	switch e.Kind {
	case client.Connecting:
		text := "connecting to " + v.address
		if e.Since != nil {
			text += ", resuming after " + seqText(*e.Since)
		}
		v.writeLine(v.paint(dim, text))
	case client.Connected:
		v.writeLine(v.paint(green, "connected") + v.paint(dim, connectedText(e)))
	case client.Resumed:
		v.writeLine(v.paint(green, "resumed") + v.paint(dim, "  "+resumedText(e.Frame)))
	case client.Arrived:
		v.showFrame(e.Frame)
	case client.Dropped:
		v.writeLine(v.paint(red, fmt.Sprintf("! not sent: %s (%s)", printable(e.Message), printable(e.Err.Error()))))
	case client.Closed:
		v.writeLine(v.paint(yellow, printable(describe(e.Err))) + " " + v.retryText(e))
	case client.GaveUp: // the error of the command explains it
	}
}

func connectedText(e client.Event) string {
	var b strings.Builder
	if e.Ref != "" {
		b.WriteString("  ref " + e.Ref)
	}
	f := e.Frame
	if f == nil {
		return b.String()
	}
	if f.ConversationID != "" {
		b.WriteString("  conversation " + printable(f.ConversationID))
	}
	if f.LastSeq != nil {
		b.WriteString("  last message " + seqText(*f.LastSeq))
	}
	return b.String() + stateText(f)
}

func presenceText(online bool, lastSeen string) string {
	switch {
	case online:
		return "online"
	case lastSeen != "":
		return "offline, last seen " + localTime(lastSeen)
	default:
		return "offline"
	}
}

func resumedText(f *client.Frame) string {
	switch {
	case f.Reset:
		return "the database was restored or replaced: messages shown above may no longer exist; live after " + seqText(f.ToSeq)
	case f.ToSeq < f.FromSeq:
		return "no messages were missed"
	case f.ToSeq == f.FromSeq:
		return "missed message " + seqText(f.ToSeq) + " is shown above"
	default:
		return "missed messages " + seqText(f.FromSeq) + " to " + seqText(f.ToSeq) + " are shown above"
	}
}

// describe explains how an attempt ended, with code, reason and reference.
func describe(err error) string {
	switch e := err.(type) { //nolint:errorlint // the session does not wrap its errors
	case *client.CloseError:
		ref := e.Ref
		if ref != "" {
			ref = " (ref " + ref + ")"
		}
		means := client.Means(e.Code, e.Reason)
		if e.Detail != "" && e.Detail != means {
			means += " " + strings.TrimSuffix(e.Detail, ".") + "."
		}
		return strings.TrimSuffix(fmt.Sprintf("closed %d %s", e.Code, e.Reason), " ") + ref + ": " + means
	case *client.StatusError:
		return "refused: " + strings.TrimSuffix(e.Error(), ".") + "."
	default:
		return "no connection: " + strings.TrimSuffix(err.Error(), ".") + "."
	}
}

// retryText says when and how the client tries again.
func (v *view) retryText(e client.Event) string {
	text := "Trying again at once"
	if e.Delay > 0 {
		text = "Trying again in " + seconds(e.Delay)
	}
	if closed, ok := e.Err.(*client.CloseError); ok && closed.Code == frame.CodeIdentity { //nolint:errorlint // as above
		text += " with a new token"
	}
	if v.known && v.endpoint == client.Chat {
		text += ", resuming after " + seqText(v.highest)
	}
	return text + "."
}

func (v *view) showFrame(f *client.Frame) {
	if v.endpoint == client.Echo {
		v.showEcho(f)
		return
	}
	switch f.Type {
	case frame.TypeChatMessage:
		v.writeLine(v.messageText(f))
	case frame.TypeAck:
		text := "  ✓ " + seqText(f.Seq)
		switch {
		case f.Differs:
			text += " (already stored, with other content)"
		case f.Duplicate:
			text += " (already stored)"
		}
		v.writeLine(v.paint(dim, text))
	case frame.TypeLocationUpdate:
		v.writeLine(v.positionText(f))
	case frame.TypeHistory:
		v.showHistory(f)
	case frame.TypePong:
		v.writeLine(v.paint(dim, "  pong"+v.roundTrip(f)))
	case frame.TypeReconnect:
		v.writeLine(v.paint(dim, fmt.Sprintf("  the server asks to reconnect in %s (%s)", seconds(time.Duration(f.AfterMS)*time.Millisecond), printable(f.Reason))))
	case frame.TypeError:
		v.showError(f)
	default:
		if text := v.activityText(f); text != "" {
			v.writeLine(v.paint(dim, "  "+text))
			return
		}
		v.writeLine(v.paint(dim, "  "+printable(string(f.Raw))))
	}
}

func (v *view) userText(role string, id int64, own bool) string {
	name := fmt.Sprintf("%s %d", printable(role), id)
	if id == 0 && role == string(room.Support) {
		name = "operator" // of a system message
	}
	if own {
		return v.paint(green, name+" (you)")
	}
	return v.paint(cyan, name)
}

func (v *view) messageText(f *client.Frame) string {
	text := v.paint(bold, seqText(f.Seq)) + " " + v.userText(f.SenderRole, f.SenderID, v.isOwn(f.SenderID, f.ClientMessageID)) +
		v.paint(dim, " · "+localTime(f.Timestamp)) + "  "
	if f.MessageType != "" && f.MessageType != room.TypeText {
		text += v.paint(yellow, "["+printable(f.MessageType)+"]") + " "
	}
	text += printable(f.Message)
	if len(f.Metadata) > 0 {
		text += "  " + v.paint(dim, printable(string(f.Metadata)))
	}
	return text
}

func (v *view) positionText(f *client.Frame) string {
	var b strings.Builder
	b.WriteString(v.userText(f.Role, f.UserID, v.isOwn(f.UserID, "")) + v.paint(dim, " · "+localTime(f.Timestamp)) + " ")
	for _, part := range []struct {
		value  *float64
		format string
	}{{f.Latitude, " %.6f"}, {f.Longitude, ", %.6f"}, {f.Accuracy, "  ±%.0f m"}, {f.Heading, "  heading %.0f°"}, {f.Speed, "  %.1f m/s"}} {
		if part.value != nil {
			fmt.Fprintf(&b, part.format, *part.value)
		}
	}
	return b.String()
}

func (v *view) showHistory(f *client.Frame) {
	more := "no earlier ones"
	if f.HasMore {
		more = "there are earlier ones"
	}
	v.writeLine(v.paint(dim, fmt.Sprintf("  history: %s, %s", count(len(f.Messages), "message"), more)))
	for i := range f.Messages {
		m := &f.Messages[i]
		text := "  " + v.messageText(m)
		if v.state.receipts && v.isOwn(m.SenderID, m.ClientMessageID) {
			text += "  " + v.paint(dim, v.state.ticks(m.Seq))
		}
		v.writeLine(text)
	}
}

func (v *view) roundTrip(f *client.Frame) string {
	if len(v.pings) == 0 {
		return ""
	}
	sent := v.pings[0]
	v.pings = v.pings[1:]
	return "  " + milliseconds(f.At.Sub(sent))
}

func (v *view) showError(f *client.Frame) {
	text := "! " + f.Code
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	if f.Field != "" {
		text += " (field " + f.Field + ")"
	}
	if f.Ref != "" && f.Close == 0 {
		text += " (ref " + f.Ref + ")"
	}
	v.writeLine(v.paint(red, printable(text)))
}

func (v *view) showEcho(f *client.Frame) {
	if f.Binary {
		v.writeLine(v.paint(dim, fmt.Sprintf("binary, %s: ", count(len(f.Raw), "byte"))) + hex.EncodeToString(f.Raw[:min(len(f.Raw), 64)]))
		return
	}
	v.writeLine(printable(string(f.Raw)))
}
