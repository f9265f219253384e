package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

func (w *world) infos() (list []session.Info) {
	w.registry.Infos(func(i *session.Info) bool {
		list = append(list, *i)
		return true
	})
	return list
}

func TestASessionTellsItsAgeItsIdentityAndItsRoundTrip(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			h.s.Admit("customer", []int64{7, 8})
		}
		c, _ := w.dial()
		c.SetPingHandler(func(string) error {
			<-time.After(120 * time.Millisecond)
			return c.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		<-time.After(20 * time.Second)
		if i := w.infos()[0]; i.RoundTrip != 0 || i.PingWait != 0 {
			w.t.Errorf("before a ping: %+v", i)
		}
		<-time.After(20*time.Second + 50*time.Millisecond)
		synctest.Wait()
		i := w.infos()[0]
		if i.RoundTrip != 120*time.Millisecond || i.User == 0 || i.Role != "customer" || len(i.IDs) != 2 || i.State != session.StateOpen ||
			time.Since(i.Opened).Round(time.Second) != 40*time.Second || i.Ref != ref || i.Expires.IsZero() {
			w.t.Errorf("after a ping: %+v", i)
		}
		var e session.Ending
		w.registry.Infos(func(i *session.Info) bool { e.Add(i); return true })
		if e.Run(); e.Len() != 1 {
			w.t.Errorf("%d sessions to end", e.Len())
		}
		<-done
	})
}

func TestAPingThatIsNotAnsweredIsSeen(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, _ := w.dial()
		c.SetPingHandler(func(string) error { return nil })
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		<-time.After(29 * time.Second)
		if i := w.infos()[0]; i.PingWait < 3*time.Second || i.RoundTrip != 0 {
			w.t.Errorf("%+v", i)
		}
		_ = c.Close()
		<-done
	})
}

func TestAWatchFollowsAUserWhoBecomesKnown(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.registry.Watch(func(s session.Subject) logging.Watch {
			if s.User != 0 && s.Role == "customer" {
				return logging.WatchTrace
			}
			return 0
		})
		var h *script
		seen := []bool{}
		w.handle = func(made *script) {
			h = made
			seen = append(seen, h.s.Log().Watched())
			h.s.Authenticate(living(time.Hour))
			h.s.Admit("customer", nil)
			seen = append(seen, h.s.Log().Watched())
		}
		c, _ := w.dial()
		if seen[0] || !seen[1] {
			w.t.Errorf("watched before and after: %v", seen)
		}
		if w.registry.Watch(nil); h.s.Log().Watched() {
			w.t.Error("the watch has ended, and the session is watched")
		}
		h.s.End(&frame.Close{Code: frame.CodeNormal, Reason: "bye"})
		_, _ = readAll(c)
	})
}
