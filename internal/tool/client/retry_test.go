package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/frame"
)

// counting is a sign-in that gives "token 1", "token 2", ….
func counting(expiresIn int) func(context.Context) (Tokens, error) {
	var n atomic.Int64
	return func(context.Context) (Tokens, error) {
		return Tokens{AccessToken: fmt.Sprint("token ", n.Add(1)), ExpiresIn: expiresIn, Received: time.Now()}, nil
	}
}

func closing(code int, reason string) func(*side) {
	return func(s *side) { s.bye(code, reason) }
}

func TestDelaysBeforeTheNextSocket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script script
		want   time.Duration
	}{
		{"1006 backs off", func(s *side) { s.cut() }, time.Second},
		{"1011 backs off", closing(1011, "database_unavailable ref=r"), time.Second},
		{"1013 backs off", closing(1013, "slow_consumer ref=r"), time.Second},
		{"1001 backs off", closing(1001, ""), time.Second},
		{"1008 waits a minute", closing(1008, "rate_limited ref=r"), time.Minute},
		{"1012 comes back when it was asked to", func(s *side) {
			s.say(`{"type":"reconnect","after_ms":1800,"reason":"restart"}`)
			s.bye(1012, "restart ref=r")
		}, 1800 * time.Millisecond},
		{"1013 heeds a longer wish", func(s *side) {
			s.say(`{"type":"reconnect","after_ms":4200,"reason":"busy"}`)
			s.bye(1013, "busy ref=r")
		}, 4200 * time.Millisecond},
		{"4012 is a 1012", func(s *side) {
			s.say(`{"type":"reconnect","after_ms":1700,"reason":"restart","ref":"r"}`)
			s.bye(4012, "restart ref=r")
		}, 1700 * time.Millisecond},
		{"4013 is a 1013", closing(4013, "slow_consumer ref=r"), time.Second},
		{"a lost Close after reconnect is a 1012", func(s *side) {
			s.say(`{"type":"reconnect","after_ms":2500,"reason":"restart"}`)
			s.cut()
		}, 2500 * time.Millisecond},
		{"503 waits for Retry-After", answer(503, "Retry-After", "7"), 8 * time.Second},
		{"502 backs off", answer(502, "Server", "some-proxy"), time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := start(t, SessionOptions{Socket: servePipe(t, chatPath, c.script, func(s *side) {
					s.connected(0)
					s.untilClosed()
				})})
				e := s.next(Closed)
				if e.Delay != c.want || e.Next == "" {
					t.Errorf("delay %s (%s), want %s", e.Delay, e.Next, c.want)
				}
				from := time.Now()
				s.next(Connected)
				if waited := time.Since(from); waited != c.want {
					t.Errorf("waited %s, want %s", waited, c.want)
				}
			})
		})
	}
}

func answer(status int, header, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(header, value)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"about:blank","title":"No","status":%d,"detail":"in words","code":"some_code","ref":"ref1"}`, status)
	}
}

func TestTheBackOffGrowsToItsLimitAndStartsAgainAfterAStableSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cut := script(func(s *side) { s.cut() })
		scripts := []script{cut, cut, cut, cut, cut, cut, cut, func(s *side) {
			s.connected(0)
			s.stay(stableAfter)
			s.cut()
		}, cut}
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, scripts...)})
		var delays []string
		for range 9 {
			delays = append(delays, s.next(Closed).Delay.String())
		}
		if diff := cmp.Diff(strings.Fields("1s 2s 4s 8s 16s 30s 30s 1s 2s"), delays); diff != "" {
			t.Error(diff)
		}
	})
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen []string
		refuse := func(s *side) {
			seen = append(seen, s.r.Header.Get("Sec-WebSocket-Protocol"))
			s.say(`{"type":"error","code":"token_invalid","detail":"bad_signature","ref":"r","close":4001}`)
			s.bye(4001, "token_invalid ref=r")
		}
		s := start(t, SessionOptions{TokenSource: renewingToken(counting(300)), Socket: servePipe(t, chatPath, refuse)})
		if e := s.next(Closed); e.Delay != 0 || e.Ref != "r" {
			t.Errorf("closed %+v, want no delay", e)
		}
		e := s.next(GaveUp)
		closed, ok := errors.AsType[*CloseError](e.Err)
		if !ok || closed.Code != 4001 || closed.Detail != "bad_signature" || !closed.Clean {
			t.Errorf("gave up: %+v", e)
		}
		<-s.Done()
		if diff := cmp.Diff([]string{"bearer, token 1", "bearer, token 2"}, seen); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAFreshTokenMayBeRefusedAgainOnceItHasWorked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		expire := script(func(s *side) {
			s.connected(0)
			s.stay(5 * time.Minute)
			s.bye(4001, "token_expired ref=r")
		})
		s := start(t, SessionOptions{TokenSource: renewingToken(counting(300)), Socket: servePipe(t, chatPath, expire)})
		for range 4 {
			s.next(Connected)
			if e := s.next(Closed); e.Delay != 0 {
				t.Errorf("delay %s, want none", e.Delay)
			}
		}
	})
}

func TestSessionStopsWhereTryingAgainIsOfNoUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script script
		want   int
	}{
		{"4000", closing(4000, "bad_id ref=r"), 4000},
		{"4003", closing(4003, "not_your_room ref=r"), 4003},
		{"4003 whose Close was lost", func(s *side) {
			s.say(`{"type":"error","code":"not_your_room","ref":"r","close":4003}`)
			s.cut()
		}, 1006},
		{"1002", closing(1002, "protocol_error ref=r"), 1002},
		{"1003", closing(1003, "text_only ref=r"), 1003},
		{"1007", closing(1007, "invalid_utf8 ref=r"), 1007},
		{"4001 with a token that cannot be renewed", closing(4001, "token_expired ref=r"), 4001},
		{"a code of somebody else", closing(4999, ""), 4999},
		{"403", answer(403, "Server", "x"), 403},
		{"404", answer(404, "Server", "x"), 404},
		{"405", answer(405, "Server", "x"), 405},
		{"426", answer(426, "Server", "x"), 426},
		{"a redirect", answer(301, "Location", "https://elsewhere/"), 301},
		{"a page instead of a socket", answer(200, "Server", "x"), 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := servePipe(t, chatPath, c.script)
				o.Token = "the only one"
				s := start(t, SessionOptions{Socket: o})
				e := s.next(GaveUp)
				<-s.Done()
				gave, ok := errors.AsType[*GaveUpError](s.endError())
				if !ok || gave.Next == "" || e.Ref == "" {
					t.Fatalf("ended with %v, ref %q", s.endError(), e.Ref)
				}
				if closed, ok := errors.AsType[*CloseError](gave); ok && closed.Code == c.want {
					return
				}
				if refused, ok := errors.AsType[*StatusError](gave); ok && refused.Status == c.want && refused.Problem.Code == "some_code" {
					return
				}
				t.Errorf("ended with %v, want %d", gave, c.want)
			})
		})
	}
}

func TestSessionGivesUpAfterItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began := time.Now()
		o := Options{URL: "ws://server" + chatPath, NetDial: (&pipes{closed: closedChannel()}).dial}
		s := start(t, SessionOptions{Socket: o, GiveUpAfter: 20 * time.Second})
		s.next(GaveUp)
		if took := time.Since(began); took > 20*time.Second || took < 10*time.Second {
			t.Errorf("gave up after %s", took)
		}
	})
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestTheMessageThatWasTooLargeIsNotSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(0)
			s.hear()
			s.hear()
			s.bye(1009, "too_large ref=r")
		}, func(s *side) {
			s.connected(0)
			s.ack(s.hear().ClientMessageID, 1)
			s.untilClosed()
		})})
		for _, text := range []string{"small", strings.Repeat("large", 20)} {
			if _, err := s.SendMessage(text, ""); err != nil {
				t.Fatal(err)
			}
		}
		if e := s.next(Dropped); len(e.Message) != 100 {
			t.Errorf("dropped %q", e.Message)
		}
		if err := s.Await(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	})
}

// The protocol's list says what a client does; this one does it.
func TestVerdictsAgreeWithTheListOfReasons(t *testing.T) {
	t.Parallel()
	for _, r := range frame.Reasons {
		s := NewSession(SessionOptions{Socket: Options{URL: "ws://server" + chatPath}, TokenSource: renewingToken(counting(300))})
		s.jitter = func(limit time.Duration) time.Duration { return limit }
		v := s.decide(&CloseError{Code: r.Code, Reason: r.Word, Clean: true})
		stop := strings.HasPrefix(r.Client, "Do not retry") || r.Code == frame.CodeNormal
		if v.stop != stop {
			t.Errorf("%d %s: stop %v, but %q", r.Code, r.Word, v.stop, r.Client)
		}
		if v.next != r.Client {
			t.Errorf("%d %s: says %q, want %q", r.Code, r.Word, v.next, r.Client)
		}
	}
}

func TestSessionSignsInAgainWhileTheServerCannot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		source := renewingToken(func(context.Context) (Tokens, error) {
			if n++; n == 1 {
				return Tokens{}, &StatusError{Status: 503, RetryAfter: 3 * time.Second}
			}
			return Tokens{}, &StatusError{Status: 401}
		})
		s := start(t, SessionOptions{TokenSource: source, Socket: Options{URL: "ws://server" + chatPath}})
		if e := s.next(Closed); e.Delay != 4*time.Second {
			t.Errorf("delay %s, want 4s", e.Delay)
		}
		if e := s.next(GaveUp); !strings.Contains(e.Next, "password") {
			t.Errorf("gave up: %+v", e)
		}
	})
}
