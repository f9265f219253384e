package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// stableAfter is how long a socket must have been ready to reset the backoff.
	stableAfter = 10 * time.Second
	// readyTimeout bounds the time from the upgrade to the connected frame. The server's
	// own handshake has limits of a few seconds.
	readyTimeout = 15 * time.Second
)

var (
	errClosed   = errors.New("the session was closed by its owner")
	errNotReady = errors.New("the server upgraded the connection, but sent no connected frame within " + readyTimeout.String())
)

// Run runs the session until it ends. It returns nil after Close, ctx's error when ctx
// ends (which closes the socket with 1000), and a *[GaveUpError] when another attempt
// would not help.
func (s *Session) Run(ctx context.Context) error {
	defer close(s.done)
	running, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		select {
		case <-s.quit:
			cancel(errClosed)
		case <-running.Done():
		}
	})
	s.lastReady = time.Now()
	for s.err == nil {
		err := s.runSocket(running)
		if running.Err() != nil {
			s.err = context.Cause(running)
			break
		}
		s.err = s.waitToRetry(running, err)
	}
	if errors.Is(s.err, errClosed) {
		s.err = nil
	}
	return s.err
}

// runSocket gets a token, dials a socket and serves it until it ends.
func (s *Session) runSocket(ctx context.Context) error {
	s.readyAt = time.Time{}
	token, err := s.token.get(ctx, s.o.TokenSource)
	if err != nil {
		return &tokenError{err}
	}
	o := s.o.Socket
	o.Token, o.LastRef, o.LastCode, o.Since, o.SinceID = token, s.lastRef, s.lastCode, nil, ""
	if s.endpoint == Chat {
		o.Since, o.SinceID = s.since()
	}
	s.emit(Event{Kind: Connecting, Since: o.Since})
	conn, err := Dial(ctx, o)
	if err != nil {
		return err
	}
	err = s.serve(ctx, conn)
	code := 0
	if closed, ok := errors.AsType[*CloseError](err); ok {
		code = closed.Code
		s.lastRef, s.lastCode = conn.Ref(), code
	}
	s.record(Record{Kind: RecordClosed, Ref: conn.Ref(), Code: code})
	return err
}

// serve handles the frames of a socket until it or ctx ends. The socket's writer runs
// while the socket is ready, and has ended when serve returns.
func (s *Session) serve(ctx context.Context, conn *Conn) error {
	writing, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer conn.CloseNow()
	defer cancel()
	defer s.setConn(nil)

	ready := func(f *Frame) {
		s.readyAt, s.tokenRenewed = time.Now(), false
		s.lastRef, s.lastCode = "", 0 // this handshake has told it
		s.outbox.resendAll()
		s.setConn(conn)
		s.emit(Event{Kind: Connected, Ref: conn.Ref(), Frame: f})
		wg.Go(func() { s.write(writing, conn) })
	}
	if s.endpoint == Echo {
		ready(nil)
	}
	waiting, stop := context.WithTimeout(ctx, readyTimeout)
	defer stop()
	for {
		reading := ctx
		if s.readyAt.IsZero() {
			reading = waiting
		}
		f, err := conn.Read(reading)
		_, ended := errors.AsType[*CloseError](err)
		switch {
		case ctx.Err() != nil:
			return s.closeSocket(conn)
		case err != nil && !ended:
			_ = conn.Close(frame.CodeNormal, "") // the error below says more
			return &CloseError{Code: CodeAbnormal, Ref: conn.Ref(), Err: errNotReady}
		case err != nil:
			return err
		case s.readyAt.IsZero() && f.Type == frame.TypeConnected:
			s.handleConnected(conn, &f)
			ready(&f)
		default:
			if err := s.handleFrame(writing, &wg, conn, &f); err != nil {
				_ = conn.Close(frame.CodeNormal, "")
				return err
			}
		}
	}
}

// closeSocket closes the last socket of the session.
func (s *Session) closeSocket(conn *Conn) error {
	code, reason := frame.CodeNormal, ""
	select {
	case <-s.quit:
		code, reason = s.code, s.reason
	default:
	}
	_ = conn.Close(code, reason) // the session ends, whatever the peer answers
	return conn.err
}

// waitToRetry waits as long as the session has to after err. It returns nil to try again,
// or the error that ends the session.
func (s *Session) waitToRetry(ctx context.Context, err error) error {
	now := time.Now()
	if !s.readyAt.IsZero() {
		if s.lastReady = now; now.Sub(s.readyAt) >= stableAfter {
			s.failures = 0
		}
	}
	d := s.decide(err)
	if errors.Is(err, ErrNoFreshToken) && s.lastErr != nil {
		err = s.lastErr // the reason why a new token was needed
	}
	s.lastErr = err
	ref := refOf(err)
	switch {
	case s.o.Once:
		d = decision{stop: true, next: d.next}
	case !d.stop && s.o.GiveUpAfter > 0 && now.Add(d.delay).Sub(s.lastReady) > s.o.GiveUpAfter:
		d = decision{stop: true, next: "There was no connection for " + s.o.GiveUpAfter.String() + ". " + d.next}
	}
	if d.stop {
		s.emit(Event{Kind: GaveUp, Ref: ref, Err: err, Next: d.next})
		return &GaveUpError{Cause: err, Next: d.next}
	}
	s.failures++
	s.emit(Event{Kind: Closed, Ref: ref, Err: err, Delay: d.delay, Next: d.next})
	timer := time.NewTimer(d.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Session) setConn(conn *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
}

// since returns what the session resumes after: the highest seq and the id of that message.
func (s *Session) since() (seq *int64, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest, s.highestID
}

// advance sets the highest seq. id is empty if the session does not have that message.
func (s *Session) advance(seq int64, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.highest, s.highestID = &seq, id
}

func (s *Session) emit(e Event) {
	if s.o.On != nil {
		s.o.On(e)
	}
}

func (s *Session) record(r Record) {
	if s.o.Record != nil {
		r.At = time.Now()
		s.o.Record(r)
	}
}
