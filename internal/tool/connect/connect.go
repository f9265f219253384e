// Package connect is the interactive client behind `roomspa connect`. It sends what the
// user types, shows every frame and explains every close code.
package connect

import (
	"cmp"
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
	// answerTimeout bounds the wait at the end of the input for answers to raw frames and
	// for our own messages and positions as the other side sees them. There is no limit for
	// acknowledgements.
	answerTimeout = 5 * time.Second
	// maxInFlight is the number of unacknowledged messages at which piped input waits.
	maxInFlight = 200
)

// Options configures one call of Run.
type Options struct {
	// Session describes the endpoint and the user. Run sets its On.
	Session client.SessionOptions
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Color   bool
	JSON    bool // write one JSON object per event to Out

	answerTimeout time.Duration // default: answerTimeout
}

// A repl is the state of one call of Run.
type repl struct {
	o        Options
	session  *client.Session
	view     *view
	terminal *terminal // nil if input or output is not a terminal
	limiter  *rate.Limiter
	failed   bool // a line could not be sent
}

// Run sends the lines of the input until it ends, the user quits or ctx ends. At the end of
// the input it waits for acknowledgements. It returns an error if the session gave up, a
// message was not acknowledged, or piped input could not be sent.
func Run(ctx context.Context, o Options) error {
	r := &repl{o: o, limiter: rate.NewLimiter(18, 36)} // like the session: below the server's default limit
	out := o.Out
	if r.terminal = openTerminal(o.In, o.Out); r.terminal != nil {
		defer r.terminal.close()
		out = r.terminal
	}
	r.view = newView(out, o, client.EndpointOf(o.Session.Socket.URL))
	o.Session.On = r.view.handle
	o.Session.TokenSource = r.view.trackUser(o.Session.TokenSource, o.Session.Socket.Token)
	if r.view.endpoint == client.Echo {
		o.Session.Once = true // there is nothing to resume, and ?close= is a way to see a close code
	}
	o.Session.InOrder = true
	r.session = client.NewSession(o.Session)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { ended <- r.session.Run(ctx) })
	wg.Go(func() { r.confirmDelivery(ctx) })
	if r.terminal != nil {
		r.view.info("Type to send; /help lists the commands, /quit exits.")
	}
	r.loop(ctx, r.readLines(o.In))
	r.terminal.close()
	if err := endError(ctx, <-ended); err != nil {
		return err
	}
	return r.inputError()
}

// inputError returns an error if some of the input was not sent or not acknowledged.
func (r *repl) inputError() error {
	if n := r.session.Unacknowledged(); n > 0 && r.view.endpoint == client.Chat {
		return errors.New(count(n, "message") + " had no acknowledgement and may not be stored")
	}
	if r.terminal == nil && (r.failed || r.view.dropped > 0) {
		return errors.New("some of the input was not sent; the output above says why")
	}
	return nil
}

// endError turns the error that ended the session into that of the command.
func endError(ctx context.Context, err error) error {
	gaveUp, ok := errors.AsType[*client.GaveUpError](err)
	if !ok {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ctrl-C is a way to exit
		}
		return err
	}
	closed, ok := errors.AsType[*client.CloseError](gaveUp)
	if ok && closed.Code == frame.CodeNormal {
		return nil
	}
	return &sessionError{gaveUp}
}

// A sessionError describes why the session gave up, and what to do.
type sessionError struct{ gaveUp *client.GaveUpError }

func (e *sessionError) Error() string {
	return printable(describe(e.gaveUp.Cause)) + " " + e.gaveUp.Next
}
func (e *sessionError) Unwrap() error { return e.gaveUp }

// loop executes lines until the input or the session ends.
func (r *repl) loop(ctx context.Context, lines <-chan string) {
	for {
		select {
		case line, more := <-lines:
			if !more {
				r.finish(ctx)
				return
			}
			if !r.execute(ctx, line) {
				return
			}
		case <-r.session.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// finish waits for acknowledgements and answers, and closes the session.
func (r *repl) finish(ctx context.Context) {
	r.terminal.close() // so that Ctrl-C is a signal again
	if n := r.session.Unacknowledged(); n > 0 && r.terminal != nil {
		r.view.info("Waiting for the acknowledgement of %s; Ctrl-C exits at once.", count(n, "message"))
	}
	if r.terminal == nil {
		r.view.waitConnected(ctx, r.session.Done()) // even empty input shows whether a connection is possible
	}
	if r.session.Await(ctx, 0) == nil {
		r.view.waitAnswers(ctx, r.session.Done(), cmp.Or(r.o.answerTimeout, answerTimeout))
	}
	r.sendDelivered()
	r.session.Close(frame.CodeNormal, "")
}
