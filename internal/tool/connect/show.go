package connect

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// show writes an event for a person.
func (v *view) show(e client.Event) {
	switch e.Kind {
	case client.Connecting:
		text := "connecting to " + v.address
		if e.Since != nil {
			text += ", to resume after " + number(*e.Since)
		}
		v.line(v.paint(dim, text))
	case client.Connected:
		v.line(v.paint(green, "connected") + v.paint(dim, connectedText(e)))
	case client.Resumed:
		v.line(v.paint(green, "resumed") + v.paint(dim, "  "+resumedText(e.Frame)))
	case client.Arrived:
		v.frame(e.Frame)
	case client.Dropped:
		v.line(v.paint(red, fmt.Sprintf("! not sent: %s (%s)", printable(e.Message), printable(e.Err.Error()))))
	case client.Closed:
		v.line(v.paint(yellow, printable(describe(e.Err))) + " " + v.nextText(e))
	case client.GaveUp: // the command's error says it
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
		b.WriteString("  last message " + number(*f.LastSeq))
	}
	if f.Peer != nil {
		fmt.Fprintf(&b, "  %d is %s", f.Peer.ID, online(f.Peer.Online, f.Peer.LastSeen))
	}
	return b.String()
}

func online(yes bool, lastSeen string) string {
	switch {
	case yes:
		return "online"
	case lastSeen != "":
		return "offline, last seen " + clock(lastSeen)
	default:
		return "offline"
	}
}

func resumedText(f *client.Frame) string {
	switch {
	case f.Reset:
		return "the server's last message is " + number(f.ToSeq) + ": it has lost what came after"
	case f.ToSeq < f.FromSeq:
		return "nothing was missed"
	case f.ToSeq == f.FromSeq:
		return number(f.ToSeq) + " was missed, and is above"
	default:
		return number(f.FromSeq) + " to " + number(f.ToSeq) + " were missed, and are above"
	}
}

// describe says how an attempt ended: code, reason, reference, and words.
func describe(err error) string {
	switch e := err.(type) { //nolint:errorlint // the session hands over its own types, unwrapped
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
	case *client.Refused:
		return "refused: " + strings.TrimSuffix(e.Error(), ".") + "."
	default:
		return "no connection: " + strings.TrimSuffix(err.Error(), ".") + "."
	}
}

// nextText says what the client does now.
func (v *view) nextText(e client.Event) string {
	text := "Trying again at once"
	if e.Delay > 0 {
		text = "Trying again in " + seconds(e.Delay)
	}
	if closed, ok := e.Err.(*client.CloseError); ok && closed.Code == frame.CodeIdentity { //nolint:errorlint // as above
		text += " with a new token"
	}
	if v.known && v.endpoint == client.Chat {
		text += ", to resume after " + number(v.highest)
	}
	return text + "."
}

// frame shows what arrived.
func (v *view) frame(f *client.Frame) {
	if v.endpoint == client.Echo {
		v.echo(f)
		return
	}
	switch f.Type {
	case frame.TypeChatMessage:
		v.line(v.message(f))
	case frame.TypeAck:
		text := "  ✓ " + number(f.Seq)
		if f.Duplicate {
			text += " (it was stored before)"
		}
		v.line(v.paint(dim, text))
	case frame.TypeLocationUpdate:
		v.line(v.position(f))
	case frame.TypeHistory:
		v.history(f)
	case frame.TypePong:
		v.line(v.paint(dim, "  pong"+v.roundTrip(f)))
	case frame.TypeReconnect:
		v.line(v.paint(dim, fmt.Sprintf("  the server asks to come back in %s (%s)", seconds(time.Duration(f.AfterMS)*time.Millisecond), printable(f.Reason))))
	case frame.TypeError:
		v.fault(f)
	default:
		if text := signal(f); text != "" {
			v.line(v.paint(dim, "  "+text))
			return
		}
		v.line(v.paint(dim, "  "+printable(string(f.Raw))))
	}
}

// signal is what comes and goes: typing, presence, receipts.
func signal(f *client.Frame) string {
	switch {
	case f.Type == "typing" && f.IsTyping:
		return fmt.Sprintf("%d is typing …", f.UserID)
	case f.Type == "typing":
		return fmt.Sprintf("%d stopped typing", f.UserID)
	case f.Type == "presence":
		return fmt.Sprintf("%d is %s", f.UserID, online(f.Online, f.LastSeen))
	case f.Type == "delivered", f.Type == "read":
		return fmt.Sprintf("%s up to %s by %d", f.Type, number(f.Seq), f.UserID)
	}
	return ""
}

func (v *view) who(role string, id int64, ours bool) string {
	name := fmt.Sprintf("%s %d", printable(role), id)
	if ours {
		return v.paint(green, name+" (you)")
	}
	return v.paint(cyan, name)
}

func (v *view) message(f *client.Frame) string {
	return v.paint(bold, number(f.Seq)) + " " + v.who(f.SenderRole, f.SenderID, v.ours(f.SenderID, f.ClientMessageID)) +
		v.paint(dim, " · "+clock(f.Timestamp)) + "  " + printable(f.Message)
}

func (v *view) position(f *client.Frame) string {
	var b strings.Builder
	b.WriteString(v.who(f.Role, f.UserID, v.ours(f.UserID, "")) + v.paint(dim, " · "+clock(f.Timestamp)) + " ")
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

func (v *view) history(f *client.Frame) {
	more := "these are all"
	if f.HasMore {
		more = "there are more before"
	}
	v.line(v.paint(dim, fmt.Sprintf("  history: %s, %s", count(len(f.Messages), "message"), more)))
	for i := range f.Messages {
		v.line("  " + v.message(&f.Messages[i]))
	}
}

func (v *view) roundTrip(f *client.Frame) string {
	if len(v.pings) == 0 {
		return ""
	}
	began := v.pings[0]
	v.pings = v.pings[1:]
	return "  " + milliseconds(f.At.Sub(began))
}

func (v *view) fault(f *client.Frame) {
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
	v.line(v.paint(red, printable(text)))
}

func (v *view) echo(f *client.Frame) {
	if f.Binary {
		v.line(v.paint(dim, fmt.Sprintf("binary, %s: ", count(len(f.Raw), "byte"))) + hex.EncodeToString(f.Raw[:min(len(f.Raw), 64)]))
		return
	}
	v.line(printable(string(f.Raw)))
}
