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

// SmokeOptions configures a smoke test.
type SmokeOptions struct {
	// BaseURL is the URL of the server, as http, https, ws or wss.
	BaseURL string
	// Own and Peer are the credentials of a customer and a therapist, in either order.
	// Smoke sets their BaseURL.
	Own, Peer client.Credentials
	// Socket holds options for every socket; Smoke sets its URL and token.
	Socket client.Options
	// Timeout bounds the check of each endpoint.
	Timeout time.Duration
	Out     io.Writer
	Color   bool
}

// A smoke is the state of one call of Smoke.
type smoke struct {
	SmokeOptions
	base     string // ws or wss
	own      client.Tokens
	peer     client.Tokens
	loginErr error
}

// Smoke tests each endpoint as its users would. It writes one line per endpoint with the
// latency, or with the cause and the reference of the failure. It returns true if all
// endpoints work.
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
		took, what, err := s.runCheck(ctx, check.run)
		line := fmt.Sprintf("%-9s %s  %-6s %s", check.name, paint(green, "ok"), milliseconds(took), paint(dim, what))
		if err != nil {
			good = false
			line = fmt.Sprintf("%-9s %s  %s", check.name, paint(red, "FAILED"), strings.ReplaceAll(printable(failureText(err)), "\n", " "))
		}
		if _, err := fmt.Fprintln(o.Out, line); err != nil {
			return false, fmt.Errorf("write the result: %w", err)
		}
	}
	return good, nil
}

func (s *smoke) runCheck(ctx context.Context, run func(context.Context) (time.Duration, string, error)) (time.Duration, string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	took, what, err := run(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("timed out after %s: %s", s.Timeout, strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error()))
	}
	return took, what, err
}

func failureText(err error) string {
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
			return 0, "", waitError(conn, "the echo", err)
		}
		if string(f.Raw) == text {
			return f.At.Sub(began), "the echo came back", conn.Close(frame.CodeNormal, "")
		}
	}
}

// waitError adds the reference, and what was expected, to the error of a read.
func waitError(conn *client.Conn, what string, err error) error {
	if _, closed := errors.AsType[*client.CloseError](err); closed {
		return err
	}
	if conn.Ref() == "" {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return fmt.Errorf("waiting for %s (ref %s): %w", what, conn.Ref(), err)
}

// path returns the path of the room of both users. It signs them in first.
func (s *smoke) path(ctx context.Context, endpoint client.Endpoint) (string, error) {
	if s.own.AccessToken == "" && s.loginErr == nil {
		if s.own, s.loginErr = s.Own.Login(ctx); s.loginErr == nil {
			s.peer, s.loginErr = s.Peer.Login(ctx)
		}
	}
	if s.loginErr != nil {
		return "", s.loginErr
	}
	room, err := client.RoomOf(s.own.User, s.peer.User)
	return fmt.Sprintf("/ws/%s/%s", endpoint, room), err
}

// openPair opens a socket for each side of the room.
func (s *smoke) openPair(ctx context.Context, endpoint client.Endpoint) (own, peer *client.Conn, err error) {
	path, err := s.path(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	if own, err = s.open(ctx, path, s.own.AccessToken); err != nil {
		return nil, nil, err
	}
	if peer, err = s.open(ctx, path, s.peer.AccessToken); err != nil {
		own.CloseNow()
		return nil, nil, err
	}
	return own, peer, nil
}

func (s *smoke) open(ctx context.Context, path, token string) (*client.Conn, error) {
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

// await reads until a frame matches. An error frame on the way is an error.
func await(ctx context.Context, conn *client.Conn, what string, matches func(*client.Frame) bool) (client.Frame, error) {
	for {
		f, err := conn.Read(ctx)
		switch {
		case err != nil:
			return f, waitError(conn, what, err)
		case matches(&f):
			return f, nil
		case f.Type == frame.TypeError && f.Close == 0:
			return f, fmt.Errorf("%s: %s (ref %s)", f.Code, f.Detail, conn.Ref())
		}
	}
}

func (s *smoke) chat(ctx context.Context) (time.Duration, string, error) {
	return s.exchange(ctx, client.Chat, func(ctx context.Context, from, to *client.Conn) (time.Duration, error) {
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

// errNotPassedOn means that the server takes no positions of this side (--location-from).
var errNotPassedOn = errors.New("positions of this side are not passed on")

const wrongRole = "wrong_role"

func (s *smoke) location(ctx context.Context) (time.Duration, string, error) {
	return s.exchange(ctx, client.Location, func(ctx context.Context, from, to *client.Conn) (time.Duration, error) {
		// A random latitude, so that a stored last position is not mistaken for this one.
		latitude, began := float64(rand.IntN(1e6))/1e6, time.Now() //nolint:gosec // no secret
		if err := from.SendPosition(client.NewPosition(latitude, 0)); err != nil {
			return 0, err
		}
		isIt := func(f *client.Frame) bool {
			return f.Type == frame.TypeLocationUpdate && f.Latitude != nil && *f.Latitude == latitude
		}
		f, err := await(ctx, from, "the own position", func(f *client.Frame) bool { return isIt(f) || f.Code == wrongRole })
		if err != nil {
			return 0, err
		}
		if f.Code == wrongRole {
			return 0, errNotPassedOn
		}
		f, err = await(ctx, to, "the position", isIt)
		return f.At.Sub(began), err
	})
}

// exchange sends something in both directions that the server allows. It returns the longest latency.
func (s *smoke) exchange(ctx context.Context, endpoint client.Endpoint, send func(ctx context.Context, from, to *client.Conn) (time.Duration, error)) (time.Duration, string, error) {
	own, peer, err := s.openPair(ctx, endpoint)
	if err != nil {
		return 0, "", err
	}
	defer own.CloseNow()
	defer peer.CloseNow()
	var longest time.Duration
	directions := "both directions"
	for _, way := range []struct {
		from, to *client.Conn
		role     string
	}{{own, peer, s.own.User.Role}, {peer, own, s.peer.User.Role}} {
		took, err := send(ctx, way.from, way.to)
		switch {
		case errors.Is(err, errNotPassedOn) && way.role == "customer":
			directions = "from the therapist only (--location-from)"
		case err != nil:
			return 0, "", err
		}
		longest = max(longest, took)
	}
	what := fmt.Sprintf("%s %d and %s %d, %s", s.own.User.Role, s.own.User.ID, s.peer.User.Role, s.peer.User.ID, directions)
	return longest, what, errors.Join(own.Close(frame.CodeNormal, ""), peer.Close(frame.CodeNormal, ""))
}
