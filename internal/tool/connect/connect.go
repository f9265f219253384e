// Package connect is the interactive client behind `roomspa connect`: it sends
// what is typed, shows every frame, and says every close code in words.
package connect

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

const (
	// answerWait is how long, when the input is at its end, everything that is not
	// an acknowledgement is waited for: answers to raw frames, and our own messages
	// and position as the others see them. Acknowledgements are waited for until
	// they come.
	answerWait = 5 * time.Second
	// window is how many piped messages may be on their way at once.
	window = 200
)

// Options is what one call of the command was given.
type Options struct {
	// Session says where to and as whom. Its On and Record are used here.
	Session client.SessionOptions
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Color   bool
	JSON    bool // one JSON object a line on Out
}

// A talk is one run of the command.
type talk struct {
	session  *client.Session
	view     *view
	terminal *terminal // nil where input or output is not one
	pace     *rate.Limiter
	failed   bool // a line could not be acted on
}

// Run talks until the input ends, the user quits or ctx ends, and returns an
// error where the session gave up, a message was not acknowledged, or piped input
// could not be sent. When the input ends, what it sent is acknowledged first.
func Run(ctx context.Context, o Options) error {
	t := &talk{pace: rate.NewLimiter(18, 36)} // as the session paces messages: below the server's limit
	out := o.Out
	if t.terminal = openTerminal(o.In, o.Out); t.terminal != nil {
		defer t.terminal.close()
		out = t.terminal
	}
	t.view = newView(out, o, client.EndpointOf(o.Session.Socket.URL))
	o.Session.On = t.view.event
	o.Session.TokenSource = t.view.noteUser(o.Session.TokenSource, o.Session.Socket.Token)
	if t.view.endpoint == client.Echo {
		o.Session.Once = true // nothing resumes, and ?close= is there to be seen
	}
	t.session = client.NewSession(o.Session)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { ended <- t.session.Run(ctx) })
	if t.terminal != nil {
		t.view.note("Type to send; /help lists the commands, /quit ends.")
	}
	t.converse(ctx, t.lines(o.In))
	t.terminal.close()
	if err := verdict(ctx, <-ended); err != nil {
		return err
	}
	return t.shortfall()
}

// shortfall says what was not sent though nothing is wrong with the connection.
// Who types has seen it.
func (t *talk) shortfall() error {
	if n := t.session.Unacknowledged(); n > 0 && t.view.endpoint == client.Chat {
		return errors.New(count(n, "message") + " had no acknowledgement: stored or not, nobody can say")
	}
	if t.terminal == nil && (t.failed || t.view.dropped > 0) {
		return errors.New("some of the input was not sent; the lines above say why")
	}
	return nil
}

// verdict turns the session's end into the command's.
func verdict(ctx context.Context, err error) error {
	gave, ok := errors.AsType[*client.GaveUpError](err)
	if !ok {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ctrl-C is a way to end it
		}
		return err
	}
	closed, ok := errors.AsType[*client.CloseError](gave)
	if ok && closed.Code == frame.CodeNormal {
		return nil
	}
	return &endedError{gave}
}

// An endedError says why there is no connection any more, and what to do.
type endedError struct{ gave *client.GaveUpError }

func (e *endedError) Error() string { return printable(describe(e.gave.Cause)) + " " + e.gave.Next }
func (e *endedError) Unwrap() error { return e.gave }

// converse acts on the lines until there are no more, and the session's end is
// near.
func (t *talk) converse(ctx context.Context, lines <-chan string) {
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.finish(ctx)
				return
			}
			if !t.act(ctx, line) {
				return
			}
		case <-t.session.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// finish waits for what is still to come, then says goodbye.
func (t *talk) finish(ctx context.Context) {
	t.terminal.close() // so that Ctrl-C is a signal again
	if n := t.session.Unacknowledged(); n > 0 && t.terminal != nil {
		t.view.note("Waiting for %s to be acknowledged; Ctrl-C leaves at once.", count(n, "message"))
	}
	if t.terminal == nil {
		t.view.awaitUp(ctx, t.session.Done()) // even without input: can one connect at all?
	}
	if t.session.Await(ctx, 0) == nil {
		t.view.awaitAnswers(ctx, t.session.Done())
	}
	t.session.Close(frame.CodeNormal, "")
}
