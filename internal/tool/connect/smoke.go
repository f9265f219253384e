package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// SmokeOptions says where and as whom to try the endpoints.
type SmokeOptions struct {
	// BaseURL is the server, as http, https, ws or wss.
	BaseURL string
	// Own and Peer sign in; one is a customer and the other a therapist. Their
	// BaseURL is set here.
	Own, Peer client.Credentials
	// Socket is what every dial has beside its URL and token.
	Socket client.Options
	// Timeout bounds each endpoint's check.
	Timeout time.Duration
	Out     io.Writer
	Color   bool
}

// A smoke is one run over the endpoints.
type smoke struct {
	SmokeOptions
	base     string // ws or wss
	own      client.Tokens
	peer     client.Tokens
	loginErr error
}

// Smoke tries each endpoint the way its users do, and writes a line about each:
// whether it works, how long a message takes, or the cause with the reference.
// It reports whether all of them work.
func Smoke(ctx context.Context, o SmokeOptions) (good bool, err error) {
	base, err := client.BaseURL(o.BaseURL)
	if err != nil {
		return false, err
	}
	s := &smoke{SmokeOptions: o, base: "ws" + strings.TrimPrefix(base, "http")}
	s.Own.BaseURL, s.Peer.BaseURL = base, base
	good = true
	paint := (&view{color: o.Color}).paint
	for _, check := range []struct {
		name client.Endpoint
		run  func(context.Context) (time.Duration, string, error)
	}{{client.Echo, s.echo}, {client.Chat, s.chat}, {client.Location, s.location}} {
		took, what, err := s.within(ctx, check.run)
		line := fmt.Sprintf("%-9s %s  %-6s %s", check.name, paint(green, "ok"), milliseconds(took), paint(dim, what))
		if err != nil {
			good = false
			line = fmt.Sprintf("%-9s %s  %s", check.name, paint(red, "FAILED"), strings.ReplaceAll(printable(cause(err)), "\n", " "))
		}
		if _, err := fmt.Fprintln(o.Out, line); err != nil {
			return false, fmt.Errorf("write the result: %w", err)
		}
	}
	return good, nil
}

func (s *smoke) within(ctx context.Context, run func(context.Context) (time.Duration, string, error)) (time.Duration, string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	took, what, err := run(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("not done after %s: %s", s.Timeout, strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error()))
	}
	return took, what, err
}

// cause says in one line what went wrong.
func cause(err error) string {
	if closed, ok := errors.AsType[*client.CloseError](err); ok {
		return describe(closed)
	}
	return err.Error()
}

func (s *smoke) dial(ctx context.Context, path, token string) (*client.Conn, error) {
	o := s.Socket
	o.URL, o.Token = s.base+path, token
	return client.Dial(ctx, o)
}

func (s *smoke) echo(ctx context.Context) (time.Duration, string, error) {
	conn, err := s.dial(ctx, "/ws/test/", "")
	if err != nil {
		return 0, "", err
	}
	defer conn.CloseNow()
	text, began := "smoke "+client.NewID(), time.Now()
	if err := conn.Send([]byte(text)); err != nil {
		return 0, "", err
	}
	for {
		f, err := conn.Read(ctx)
		if err != nil {
			return 0, "", waiting(conn, "the echo", err)
		}
		if string(f.Raw) == text {
			return f.At.Sub(began), "the echo came back", conn.Close(frame.CodeNormal, "")
		}
	}
}

// waiting adds to a time-out what was waited for, and the reference.
func waiting(conn *client.Conn, what string, err error) error {
	if _, closed := errors.AsType[*client.CloseError](err); closed {
		return err
	}
	if conn.Ref() == "" {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return fmt.Errorf("waiting for %s (ref %s): %w", what, conn.Ref(), err)
}

// room signs both sides in, once, and returns their room's path.
func (s *smoke) room(ctx context.Context, endpoint client.Endpoint) (string, error) {
	if s.own.AccessToken == "" && s.loginErr == nil {
		if s.own, s.loginErr = s.Own.Login(ctx); s.loginErr == nil {
			s.peer, s.loginErr = s.Peer.Login(ctx)
		}
	}
	if s.loginErr != nil {
		return "", fmt.Errorf("the sign-in failed: %w", s.loginErr)
	}
	room, err := client.RoomOf(s.own.User, s.peer.User)
	return fmt.Sprintf("/ws/%s/%s", endpoint, room), err
}

// pair opens both sides of the room.
func (s *smoke) pair(ctx context.Context, endpoint client.Endpoint) (own, peer *client.Conn, err error) {
	path, err := s.room(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	if own, err = s.enter(ctx, path, s.own.AccessToken); err != nil {
		return nil, nil, err
	}
	if peer, err = s.enter(ctx, path, s.peer.AccessToken); err != nil {
		own.CloseNow()
		return nil, nil, err
	}
	return own, peer, nil
}

func (s *smoke) enter(ctx context.Context, path, token string) (*client.Conn, error) {
	conn, err := s.dial(ctx, path, token)
	if err != nil {
		return nil, err
	}
	_, err = await(ctx, conn, "connected", func(f *client.Frame) bool { return f.Type == frame.TypeConnected })
	if err != nil {
		conn.CloseNow()
		return nil, err
	}
	return conn, nil
}

// await reads until the frame that is meant, and heeds errors on the way.
func await(ctx context.Context, conn *client.Conn, what string, meant func(*client.Frame) bool) (client.Frame, error) {
	for {
		f, err := conn.Read(ctx)
		switch {
		case err != nil:
			return f, waiting(conn, what, err)
		case meant(&f):
			return f, nil
		case f.Type == frame.TypeError && f.Close == 0:
			return f, fmt.Errorf("%s: %s (ref %s)", f.Code, f.Detail, conn.Ref())
		}
	}
}

func (s *smoke) chat(ctx context.Context) (time.Duration, string, error) {
	return s.thereAndBack(ctx, client.Chat, func(ctx context.Context, from, to *client.Conn) (time.Duration, error) {
		id, began := client.NewID(), time.Now()
		if err := from.SendMessage("roomspa connect --smoke", id); err != nil {
			return 0, err
		}
		_, err := await(ctx, from, "the acknowledgement", func(f *client.Frame) bool {
			return f.Type == frame.TypeAck && f.ClientMessageID == id
		})
		if err != nil {
			return 0, err
		}
		f, err := await(ctx, to, "the message", func(f *client.Frame) bool {
			return f.Type == frame.TypeChatMessage && f.ClientMessageID == id
		})
		return f.At.Sub(began), err
	})
}

func (s *smoke) location(ctx context.Context) (time.Duration, string, error) {
	return s.thereAndBack(ctx, client.Location, func(ctx context.Context, from, to *client.Conn) (time.Duration, error) {
		// Somewhere in the Gulf of Guinea, and nowhere twice: a last position that
		// is still kept must not be taken for this one.
		latitude, began := float64(rand.IntN(1e6))/1e6, time.Now() //nolint:gosec // no secret
		if err := from.SendPosition(client.At(latitude, 0)); err != nil {
			return 0, err
		}
		f, err := await(ctx, to, "the position", func(f *client.Frame) bool {
			return f.Type == frame.TypeLocationUpdate && f.Latitude != nil && *f.Latitude == latitude
		})
		return f.At.Sub(began), err
	})
}

// thereAndBack has something sent in both directions. The time is the longer one.
func (s *smoke) thereAndBack(ctx context.Context, endpoint client.Endpoint, send func(ctx context.Context, from, to *client.Conn) (time.Duration, error)) (time.Duration, string, error) {
	own, peer, err := s.pair(ctx, endpoint)
	if err != nil {
		return 0, "", err
	}
	defer own.CloseNow()
	defer peer.CloseNow()
	there, err := send(ctx, own, peer)
	if err != nil {
		return 0, "", err
	}
	back, err := send(ctx, peer, own)
	if err != nil {
		return 0, "", err
	}
	what := fmt.Sprintf("%s %d and %s %d, there and back", s.own.User.Role, s.own.User.ID, s.peer.User.Role, s.peer.User.ID)
	return max(there, back), what, errors.Join(own.Close(frame.CodeNormal, ""), peer.Close(frame.CodeNormal, ""))
}
