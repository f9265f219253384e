package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// stableAfter is how long a socket must have been ready for the failures
	// before it to be forgotten.
	stableAfter = 10 * time.Second
	// readyWait is how long an endpoint may take from the upgrade to its first
	// frame. The server's own handshake has limits of a few seconds.
	readyWait = 15 * time.Second
)

var (
	errQuit     = errors.New("the session was closed by its owner")
	errNotReady = errors.New("the server upgraded the connection, and then said nothing for 15 s")
)

// Run runs the session until it is over. It returns nil after Close, ctx's error
// after ctx (whose end closes the socket with 1000 too), and a *[GaveUpError]
// when the codes say that trying again is of no use.
func (s *Session) Run(ctx context.Context) error {
	defer close(s.done)
	running, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		select {
		case <-s.quit:
			cancel(errQuit)
		case <-running.Done():
		}
	})
	s.contactAt = time.Now()
	for s.err == nil {
		err := s.attempt(running)
		if running.Err() != nil {
			s.err = context.Cause(running)
			break
		}
		s.err = s.recover(running, err)
	}
	if errors.Is(s.err, errQuit) {
		s.err = nil
	}
	return s.err
}

// attempt is the life of one socket, from its token to its end.
func (s *Session) attempt(ctx context.Context) error {
	s.readyAt = time.Time{}
	token, err := s.token.get(ctx, s.o.TokenSource)
	if err != nil {
		return &tokenError{err}
	}
	o := s.o.Socket
	o.Token, o.LastRef, o.LastCode, o.Since = token, s.lastRef, s.lastCode, nil
	if s.endpoint == Chat {
		o.Since = s.since()
	}
	s.tell(Event{Kind: Connecting, Since: o.Since})
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

// serve reads a socket until its end, or ctx's. Its writer lives as long as it
// is ready, and never longer than this call.
func (s *Session) serve(ctx context.Context, conn *Conn) error {
	writing, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer conn.CloseNow()
	defer cancel()
	defer s.setLive(nil)

	ready := func(f *Frame) {
		s.readyAt, s.renewed = time.Now(), false
		s.box.rewind()
		s.setLive(conn)
		s.tell(Event{Kind: Connected, Ref: conn.Ref(), Frame: f})
		wg.Go(func() { s.write(writing, conn) })
	}
	if s.endpoint == Echo {
		ready(nil)
	}
	waiting, stop := context.WithTimeout(ctx, readyWait)
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
			return s.leave(conn)
		case err != nil && !ended:
			_ = conn.Close(frame.CodeNormal, "") // how it ends is of no interest
			return &CloseError{Code: CodeAbnormal, Ref: conn.Ref(), Err: errNotReady}
		case err != nil:
			return err
		case s.readyAt.IsZero() && f.Type == frame.TypeConnected:
			s.begin(conn, &f)
			ready(&f)
		default:
			if err := s.receive(writing, &wg, conn, &f); err != nil {
				_ = conn.Close(frame.CodeNormal, "")
				return err
			}
		}
	}
}

// leave says goodbye because the session ends.
func (s *Session) leave(conn *Conn) error {
	code, reason := frame.CodeNormal, ""
	select {
	case <-s.quit:
		code, reason = s.code, s.reason
	default:
	}
	_ = conn.Close(code, reason) // the session is over, however the peer takes it
	return conn.err
}

// recover decides what follows the end of a socket, and waits for it. It returns
// the session's end, or nil to try again.
func (s *Session) recover(ctx context.Context, err error) error {
	now := time.Now()
	if !s.readyAt.IsZero() {
		if s.contactAt = now; now.Sub(s.readyAt) >= stableAfter {
			s.failures = 0
		}
	}
	v := s.judge(err)
	if errors.Is(err, ErrNoFreshToken) && s.lastErr != nil {
		err = s.lastErr // says why a fresh one was needed
	}
	s.lastErr = err
	ref := refOf(err)
	switch {
	case s.o.Once:
		v = verdict{stop: true, next: v.next}
	case !v.stop && s.o.GiveUpAfter > 0 && now.Add(v.delay).Sub(s.contactAt) > s.o.GiveUpAfter:
		v = verdict{stop: true, next: "There was no connection for " + s.o.GiveUpAfter.String() + ". " + v.next}
	}
	if v.stop {
		s.tell(Event{Kind: GaveUp, Ref: ref, Err: err, Next: v.next})
		return &GaveUpError{Cause: err, Next: v.next}
	}
	s.failures++
	s.tell(Event{Kind: Closed, Ref: ref, Err: err, Delay: v.delay, Next: v.next})
	timer := time.NewTimer(v.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Session) setLive(conn *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = conn
}

func (s *Session) since() *int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}

func (s *Session) advance(seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.highest = &seq
}

func (s *Session) tell(e Event) {
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
