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

const help = `Type a line to send it as a message. A line that begins with { is sent as a frame.
  /read [n]        mark the messages up to number n as read, or all (chat)
  /typing [off]    say that you write a message, or have stopped (chat)
  /history [n]     show the last n messages (chat)
  /ping            send a ping frame and show how long its pong takes
  /drop            cut the connection without a Close frame, to see the client reconnect
  /close [code]    close the socket with a code (1000, or 3000 to 4999) and exit
  /quit            wait for acknowledgements, close the socket and exit (also Ctrl-D)
  //text           send a message that begins with a slash
On the location endpoint, type latitude,longitude in degrees, as in 13.7563,100.5018`

// execute executes a line. It returns false if the user wants to exit.
func (r *repl) execute(ctx context.Context, line string) (goOn bool) {
	command, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
	argument = strings.TrimSpace(argument)
	var err error
	switch {
	case command == "":
	case strings.HasPrefix(command, "//"):
		err = r.send(ctx, strings.Replace(line, "//", "/", 1))
	case command == "/help":
		r.view.showHelp()
	case command == "/ping":
		r.view.addPing()
		err = r.sendRaw(ctx, client.Ping)
	case command == "/read":
		err = r.sendRead(ctx, argument)
	case command == "/typing":
		err = r.sendTyping(ctx, argument)
	case command == "/history":
		err = r.requestHistory(ctx, argument)
	case command == "/drop":
		if !r.session.Drop() {
			err = client.ErrNotConnected
		}
	case command == "/close":
		return r.close(argument)
	case command == "/quit":
		r.finish(ctx)
		return false
	case strings.HasPrefix(command, "/"):
		err = errors.New("unknown command " + command + "; /help lists the commands, and //text sends a message that begins with a slash")
	default:
		err = r.send(ctx, line)
	}
	if err != nil && !r.hasEnded(ctx) {
		r.view.warn(err)
		r.failed = true
	}
	return true
}

// hasEnded reports whether the session has ended, which the error of the command explains.
func (r *repl) hasEnded(ctx context.Context) bool {
	select {
	case <-r.session.Done():
		return true
	default:
		return ctx.Err() != nil
	}
}

// send sends a line as what the endpoint takes: a message, a position or any text.
func (r *repl) send(ctx context.Context, line string) error {
	switch {
	case r.view.endpoint == client.Echo, strings.HasPrefix(line, "{"):
		return r.sendRaw(ctx, []byte(line))
	case r.view.endpoint == client.Location:
		return r.sendPosition(ctx, line)
	}
	if r.terminal == nil {
		if err := r.session.Await(ctx, maxInFlight); err != nil {
			return err
		}
	}
	id := client.NewID()
	r.view.addOwnMessage(id)
	_, err := r.session.SendMessage(line, id)
	if err == nil && !r.view.isConnected() && r.terminal != nil {
		r.view.info("Not connected; the message is sent when there is a connection.")
	}
	return err
}

func (r *repl) sendPosition(ctx context.Context, line string) error {
	latitude, longitude, found := strings.Cut(line, ",")
	lat, err := strconv.ParseFloat(strings.TrimSpace(latitude), 64)
	lon, err2 := strconv.ParseFloat(strings.TrimSpace(longitude), 64)
	if !found || err != nil || err2 != nil {
		return errors.New("a position must be latitude,longitude in degrees, as in 13.7563,100.5018, or a JSON object")
	}
	p := client.NewPosition(lat, lon)
	if invalid := p.Normalize(); invalid != nil {
		return invalid
	}
	r.view.expectPosition(lat, lon)
	if err := r.session.SendPosition(p); err != nil || r.terminal != nil {
		return err
	}
	return r.session.Await(ctx, 0) // the session keeps only the newest position, but all piped ones are to be sent
}

// sendRaw sends a frame that the session does not keep. Piped input waits for a
// connection; a user at a terminal gets an error if there is none.
func (r *repl) sendRaw(ctx context.Context, text []byte) error {
	if r.terminal == nil {
		r.view.waitConnected(ctx, r.session.Done())
		if err := r.limiter.Wait(ctx); err != nil {
			return err
		}
	}
	var f struct {
		Type string `json:"type"`
		ID   string `json:"client_message_id"`
	}
	_ = json.Unmarshal(text, &f) // the server answers invalid JSON with an error frame
	switch {
	case r.view.endpoint == client.Location && f.Type != frame.TypePing:
	case f.Type == frame.TypeTyping, f.Type == frame.TypeDelivered, f.Type == frame.TypeRead, f.Type == frame.TypeAuth:
	default:
		r.view.expectAnswers(1, f.ID)
		err := r.session.Send(text)
		if err != nil {
			r.view.expectAnswers(-1, f.ID)
		}
		return err
	}
	return r.session.Send(text)
}

func (r *repl) requestHistory(ctx context.Context, argument string) error {
	n := 0
	if argument != "" {
		var err error
		if n, err = strconv.Atoi(argument); err != nil || n < 1 || n > frame.MaxHistoryLimit {
			return errors.New("/history takes a number of messages from 1 to " + strconv.Itoa(frame.MaxHistoryLimit))
		}
	}
	return r.sendRaw(ctx, client.EncodeHistory(n))
}

func (r *repl) close(argument string) (goOn bool) {
	code := frame.CodeNormal
	if argument != "" {
		var err error
		code, err = strconv.Atoi(argument)
		if err != nil || code != frame.CodeNormal && (code < 3000 || code > 4999) {
			r.view.warn(errors.New("/close takes 1000, or a code from 3000 to 4999 (RFC 6455 §7.4.2)"))
			return true
		}
	}
	r.session.Close(code, "")
	return false
}
