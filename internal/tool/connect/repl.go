package connect

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

const help = `Type a line to send it. A line that begins with { is sent as it is.
  /history [n]     the last n messages (chat)
  /ping            a ping frame, and how long its pong takes
  /drop            cut the connection without a word, to see it come back
  /close [code]    close the socket with a code (1000, or 3000 to 4999) and end
  /quit            wait for acknowledgements, close and end (or Ctrl-D)
  //text           send a text that begins with a slash
On a location: latitude,longitude in degrees, as in 13.7563,100.5018`

// act does what a line says. It reports false when the talk is to end.
func (t *talk) act(ctx context.Context, line string) (goOn bool) {
	command, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
	argument = strings.TrimSpace(argument)
	var err error
	switch {
	case command == "":
	case strings.HasPrefix(command, "//"):
		err = t.say(ctx, strings.Replace(line, "//", "/", 1))
	case command == "/help":
		t.view.help()
	case command == "/ping":
		t.view.pinged()
		err = t.raw(ctx, client.Ping)
	case command == "/history":
		err = t.history(ctx, argument)
	case command == "/drop":
		if !t.session.Drop() {
			err = client.ErrNotConnected
		}
	case command == "/close":
		return t.close(argument)
	case command == "/quit":
		t.finish(ctx)
		return false
	case strings.HasPrefix(command, "/"):
		err = errors.New("there is no command " + command + "; /help lists them, and //text sends a text that begins with a slash")
	default:
		err = t.say(ctx, line)
	}
	if err != nil && !t.isOver(ctx) {
		t.view.complain(err)
		t.failed = true
	}
	return true
}

// isOver reports whether what fails now fails because the talk has ended: that is
// told elsewhere.
func (t *talk) isOver(ctx context.Context) bool {
	select {
	case <-t.session.Done():
		return true
	default:
		return ctx.Err() != nil
	}
}

// say sends a line as what the endpoint is for.
func (t *talk) say(ctx context.Context, line string) error {
	switch {
	case t.view.endpoint == client.Echo:
		return t.raw(ctx, []byte(line))
	case strings.HasPrefix(line, "{"):
		return t.raw(ctx, []byte(line))
	case t.view.endpoint == client.Location:
		return t.position(ctx, line)
	}
	if t.terminal == nil {
		if err := t.session.Await(ctx, window); err != nil {
			return err
		}
	}
	id := client.NewID()
	t.view.own(id)
	_, err := t.session.SendMessage(line, id)
	if err == nil && !t.view.isUp() && t.terminal != nil {
		t.view.note("Not connected; it is sent as soon as there is a connection.")
	}
	return err
}

func (t *talk) position(ctx context.Context, line string) error {
	latitude, longitude, found := strings.Cut(line, ",")
	lat, err := strconv.ParseFloat(strings.TrimSpace(latitude), 64)
	lon, alsoErr := strconv.ParseFloat(strings.TrimSpace(longitude), 64)
	if !found || err != nil || alsoErr != nil {
		return errors.New("a position is latitude,longitude in degrees, as in 13.7563,100.5018, or a JSON object")
	}
	p := client.At(lat, lon)
	if bad := p.Validate(); bad != nil {
		return bad
	}
	t.view.went(lat, lon)
	if err := t.session.SendPosition(p); err != nil || t.terminal != nil {
		return err
	}
	return t.session.Await(ctx, 0) // piped positions are all sent, though only the newest is ever kept
}

// raw sends a frame that nobody keeps. Piped input waits for a connection; who
// types is told that there is none.
func (t *talk) raw(ctx context.Context, text []byte) error {
	if t.terminal == nil {
		t.view.awaitUp(ctx, t.session.Done())
		if err := t.pace.Wait(ctx); err != nil {
			return err
		}
	}
	var f struct {
		Type string `json:"type"`
		ID   string `json:"client_message_id"`
	}
	_ = json.Unmarshal(text, &f) // what cannot be read is answered with an error frame
	switch {
	case t.view.endpoint == client.Location && f.Type != frame.TypePing:
	case f.Type == "typing", f.Type == "delivered", f.Type == "read", f.Type == "auth":
	default:
		t.view.owe(1, f.ID)
		err := t.session.Send(text)
		if err != nil {
			t.view.owe(-1, f.ID)
		}
		return err
	}
	return t.session.Send(text)
}

func (t *talk) history(ctx context.Context, argument string) error {
	n := 0
	if argument != "" {
		var err error
		if n, err = strconv.Atoi(argument); err != nil || n < 1 || n > frame.MaxHistoryLimit {
			return errors.New("/history takes a number of messages, 1 to " + strconv.Itoa(frame.MaxHistoryLimit))
		}
	}
	return t.raw(ctx, client.EncodeHistory(n, 0))
}

func (t *talk) close(argument string) (goOn bool) {
	code := frame.CodeNormal
	if argument != "" {
		var err error
		code, err = strconv.Atoi(argument)
		if err != nil || code != frame.CodeNormal && (code < 3000 || code > 4999) {
			t.view.complain(errors.New("a client may close with 1000, or with 3000 to 4999 (RFC 6455 §7.4.2)"))
			return true
		}
	}
	t.session.Close(code, "")
	return false
}
