package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

func dialed(t *testing.T, o Options) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseNow)
	return c
}

func TestConnSendsAndReads(t *testing.T) {
	t.Parallel()
	url := serveTCP(t, func(s *side) {
		s.connected(3)
		for range 3 {
			kind, raw, _ := s.ws.Read(s.t.Context())
			_ = s.ws.Write(s.t.Context(), kind, raw)
		}
		s.untilClosed()
	})
	c := dialed(t, Options{URL: url, Token: "a.b.c"})
	if c.Ref() != "ref1" || c.Header().Get("Sec-WebSocket-Protocol") != "bearer" {
		t.Errorf("ref %q, header %v", c.Ref(), c.Header())
	}
	first, err := c.Read(t.Context())
	if err != nil || first.Type != "connected" || *first.LastSeq != 3 || first.At.IsZero() {
		t.Errorf("first frame %+v, %v", first, err)
	}
	for _, send := range []func() error{
		func() error { return c.SendMessage("hi", "1") },
		func() error { return c.SendPosition(NewPosition(1, 2)) },
		func() error { return c.SendBinary([]byte{0, 255}) },
	} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`{"type":"chat_message","message":"hi","client_message_id":"1"}`, `{"latitude":1,"longitude":2}`, "\x00\xff"} {
		if f, err := c.Read(t.Context()); err != nil || string(f.Raw) != want {
			t.Errorf("read %s, %v; want %s", f.Raw, err, want)
		}
	}
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

// What was read ahead when the connection is cut may be dropped, from some frame
// on; never one alone.
func TestWhatIsReadWhileItIsCutHasNoHole(t *testing.T) {
	t.Parallel()
	const burst = 60 // what fits into one read
	url := serveTCP(t, func(s *side) {
		for n := range burst {
			_ = s.ws.Write(s.t.Context(), websocket.MessageText, []byte(strconv.Itoa(n))) // the client may be gone
		}
		s.untilClosed()
	})
	for range 20 {
		c := dialed(t, Options{URL: url})
		for n := 0; ; n++ {
			f, err := c.Read(t.Context())
			if err != nil {
				break
			}
			if string(f.Raw) != strconv.Itoa(n) {
				t.Fatalf("read %s where %d was next", f.Raw, n)
			}
			if n == burst/4 {
				go c.CloseNow()
			}
		}
	}
}

func TestTheHandshakeCarriesTheOptions(t *testing.T) {
	t.Parallel()
	seen := make(chan []string, 3)
	url := serveTCP(t, func(s *side) {
		seen <- []string{s.r.Header.Get("Sec-WebSocket-Protocol"), s.r.URL.RawQuery, s.r.Header.Get("Origin")}
	})
	since := int64(5)
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{
			Options{URL: strings.Replace(url, "ws", "http", 1) + "?greet=1", Token: "t", Since: &since, LastRef: "r", LastCode: 1006},
			[]string{"bearer, t", "greet=1&last_code=1006&last_ref=r&since=5&v=1", ""},
		},
		{Options{URL: url, Header: http.Header{"origin": {"http://app"}}}, []string{"", "v=1", "http://app"}},
	} {
		dialed(t, c.o)
		if diff := cmp.Diff(c.want, <-seen); diff != "" {
			t.Error(diff)
		}
	}
}

func TestARefusedHandshakeSaysWhoRefusedAndWhy(t *testing.T) {
	t.Parallel()
	_, err := Dial(t.Context(), Options{URL: serveTCP(t, answer(503, "Retry-After", "7"))})
	r, ok := errors.AsType[*StatusError](err)
	if !ok || r.Status != 503 || r.RetryAfter != 7*time.Second || r.Problem.Code != "some_code" || r.Ref != "ref1" {
		t.Fatalf("refused with %+v (%v)", r, err)
	}
	if want := "HTTP 503 Service Unavailable: some_code: in words (ref ref1)"; r.Error() != want {
		t.Errorf("says %q, want %q", r.Error(), want)
	}
	long := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"title":"Not found","ref":"r","code":"no_such_path","detail":"` + strings.Repeat("long ", 400) + `"}`))
	}
	_, err = Dial(t.Context(), Options{URL: serveTCP(t, http.HandlerFunc(long))})
	if r, ok := errors.AsType[*StatusError](err); !ok || r.Problem.Code != "no_such_path" || r.Problem.Ref != "r" {
		t.Errorf("a cut problem document became %+v (%v)", r, err)
	}
}

func TestClosesAreTypedErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script func(*side)
		want   CloseError
	}{
		{"a refusal", func(s *side) {
			s.say(`{"type":"error","code":"token_expired","detail":"since 5 minutes","ref":"abc","close":4001}`)
			s.bye(4001, "token_expired ref=abc")
		}, CloseError{Code: 4001, Reason: "token_expired", Ref: "abc", Clean: true, Detail: "since 5 minutes", AnnouncedCode: 4001, AnnouncedReason: "token_expired"}},
		{"a restart", func(s *side) {
			s.say(`{"type":"reconnect","after_ms":1800,"reason":"restart"}`)
			s.bye(1012, "restart ref=abc")
		}, CloseError{Code: 1012, Reason: "restart", Ref: "abc", Clean: true, ReconnectAfter: 1800 * time.Millisecond, ReconnectAsked: true}},
		{"a cut", func(s *side) { s.cut() }, CloseError{Code: 1006, Ref: "ref1"}},
		{"a Close without a code", func(s *side) { s.bye(1005, "") }, CloseError{Code: 1005, Ref: "ref1", Clean: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := dialed(t, Options{URL: serveTCP(t, c.script)})
			for {
				_, err := conn.Read(t.Context())
				if err == nil {
					continue
				}
				got, ok := errors.AsType[*CloseError](err)
				if !ok {
					t.Fatal(err)
				}
				if got.Clean == (got.Err != nil) {
					t.Errorf("clean %v, but %v", got.Clean, got.Err)
				}
				copied := *got
				copied.Err = nil
				if diff := cmp.Diff(c.want, copied); diff != "" {
					t.Error(diff)
				}
				if _, again := conn.Read(t.Context()); !errors.Is(again, err) {
					t.Errorf("then %v", again)
				}
				return
			}
		})
	}
}

func TestAResetIsALostConnection(t *testing.T) {
	t.Parallel()
	conns := make(chan net.Conn, 1)
	server := httptest.NewUnstartedServer(play(t, func(s *side) { s.untilClosed() }))
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { conns <- c; return ctx }
	server.Start()
	defer server.Close()
	c := dialed(t, Options{URL: server.URL})
	tcp := (<-conns).(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
	_, err := c.Read(t.Context())
	if closed, ok := errors.AsType[*CloseError](err); !ok || closed.Code != CodeAbnormal || closed.Clean {
		t.Errorf("read: %v", err)
	}
	if err := c.Send([]byte("late")); err == nil {
		t.Error("a frame was sent after the end")
	}
}

func TestARunOutContextLosesNoFrame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := dialed(t, servePipe(t, "/", func(s *side) { s.hear(); s.connected(1); s.untilClosed() }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if err := c.Send([]byte("go on")); err != nil {
			t.Fatal(err)
		}
		if f, err := c.Read(t.Context()); err != nil || f.Type != "connected" {
			t.Errorf("read %v, %v", f.Type, err)
		}
	})
}

func TestDialEndsWithItsContextAndItsTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mute := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = theirs.Read(make([]byte, 4096)) }()
			return ours, nil
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(3*time.Second, func() { cancel(enough) })
		began := time.Now()
		if _, err := Dial(ctx, Options{URL: "ws://server/", NetDial: mute}); !errors.Is(err, enough) || time.Since(began) != 3*time.Second {
			t.Errorf("ended by ctx: %v after %s", err, time.Since(began))
		}
		began = time.Now()
		if _, err := Dial(t.Context(), Options{URL: "ws://server/", NetDial: mute, DialTimeout: 5 * time.Second}); err == nil || time.Since(began) != 5*time.Second {
			t.Errorf("timed out: %v after %s", err, time.Since(began))
		}
	})
}

func TestAPeerThatTakesNoByteIsCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		done := make(chan struct{})
		defer close(done)
		c := dialed(t, servePipe(t, "/", func(*side) { <-done }))
		began := time.Now()
		err := c.Send(make([]byte, 1<<20))
		if took := time.Since(began); err == nil || took != defaultWriteTimeout {
			t.Errorf("send: %v after %s", err, took)
		}
		_, err = c.Read(t.Context())
		if closed, ok := errors.AsType[*CloseError](err); !ok || closed.Code != CodeAbnormal {
			t.Errorf("read: %v", err)
		}
	})
}

func TestASilentPeerIsFoundAndAHealthyOneIsNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		done := make(chan struct{})
		defer close(done)
		c := dialed(t, servePipe(t, "/", func(s *side) {
			s.stay(10 * time.Minute) // answers pings
			s.connected(1)
		}))
		began := time.Now()
		if f, err := c.Read(t.Context()); err != nil || f.Type != "connected" || time.Since(began) != 10*time.Minute {
			t.Errorf("healthy: %v, %v after %s", f.Type, err, time.Since(began))
		}
		deaf := dialed(t, servePipe(t, "/", func(*side) { <-done }))
		began = time.Now()
		_, err := deaf.Read(t.Context())
		if took := time.Since(began); !errors.Is(err, errNoPong) || took != defaultKeepAlive+pongTimeout {
			t.Errorf("deaf: %v after %s", err, took)
		}
	})
}

func TestAReaderThatWaitsIsNotTakenForADeadPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := dialed(t, servePipe(t, "/", func(s *side) { s.connected(1); s.untilClosed() }))
		timer := time.NewTimer(10 * time.Minute)
		<-timer.C
		synctest.Wait()
		if f, err := c.Read(t.Context()); err != nil || f.Type != "connected" {
			t.Errorf("read %v, %v", f.Type, err)
		}
	})
}

func TestCloseDoesNotWaitForeverForAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		done := make(chan struct{})
		defer close(done)
		c := dialed(t, servePipe(t, "/", func(s *side) {
			_ = s.ws.Write(s.t.Context(), websocket.MessageText, []byte("nobody takes this"))
			<-done
		}))
		began := time.Now()
		err := c.Close(1000, "")
		if closed, ok := errors.AsType[*CloseError](err); !ok || closed.Clean || time.Since(began) != closeTimeout {
			t.Errorf("close: %v after %s", err, time.Since(began))
		}
	})
}
