package session_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

// renewing are limits under which the token "fresh" lives for two more minutes.
func renewing() session.Options {
	o := limits()
	o.TokenLeeway = 5 * time.Second
	o.Renew = func(token string, former session.Token) (session.Token, error) {
		if token != "fresh" {
			return session.Token{}, errors.New("another token")
		}
		former.IssuedAt, former.ExpiresAt = time.Now(), time.Now().Add(2*time.Minute)
		return former, nil
	}
	return o
}

func living(life time.Duration) session.Token {
	return session.Token{User: 7, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(life)}
}

// heard collects the messages of a socket with the times of their arrival.
type heard struct {
	at   []time.Duration
	text []string
	end  error
	gone time.Duration
}

func listen(c *websocket.Conn, began time.Time) <-chan *heard {
	done := make(chan *heard, 1)
	go func() {
		h := &heard{}
		for {
			_, p, err := c.ReadMessage()
			if err != nil {
				h.end, h.gone = err, time.Since(began)
				done <- h
				return
			}
			h.at, h.text = append(h.at, time.Since(began)), append(h.text, string(p))
		}
	}()
	return done
}

// about reports whether d is what it should be, or up to two sweeps later.
func about(d, want time.Duration) bool { return d >= want-time.Second && d <= want+2*time.Second }

func TestAClientIsToldThatItsTokenEnds(t *testing.T) {
	inBubble(t, renewing(), func(w *world) {
		c, h := w.dial()
		began := time.Now()
		h.s.Authenticate(living(time.Minute))
		got := <-listen(c, began)
		if len(got.text) != 2 || !about(got.at[0], 30*time.Second) {
			w.t.Fatalf("got %v at %v", got.text, got.at)
		}
		var f frame.TokenExpiring
		if err := json.Unmarshal([]byte(got.text[0]), &f); err != nil || f.Type != "token_expiring" || f.ExpiresIn < 29 || f.ExpiresIn > 30 {
			w.t.Errorf("told %s", got.text[0])
		}
		wantError(w.t, got.text[1], "token_expired", 4001)
		wantClose(w.t, got.end, 4001, "token_expired ref="+ref)
		if !about(got.gone, 65*time.Second) { // with the leeway
			w.t.Errorf("closed after %v", got.gone)
		}
	})
}

func TestAShortTokenEndsWithoutAWarning(t *testing.T) {
	inBubble(t, renewing(), func(w *world) {
		c, h := w.dial()
		h.s.Authenticate(living(30 * time.Second))
		if got := <-listen(c, time.Now()); len(got.text) != 1 || !about(got.gone, 35*time.Second) {
			w.t.Errorf("got %v, closed after %v", got.text, got.gone)
		}
	})
}

func TestARenewedSessionLivesOnPastItsFirstToken(t *testing.T) {
	inBubble(t, renewing(), func(w *world) {
		c, h := w.dial()
		began := time.Now()
		h.s.Authenticate(living(time.Minute))
		done := listen(c, began)
		time.Sleep(50 * time.Second) //nolint:forbidigo // the bubble's time
		if err := h.s.Renew("stolen"); err == nil || h.s.Token().ExpiresAt != began.Add(time.Minute).Truncate(time.Second) {
			w.t.Errorf("a token that is refused: %v, %+v", err, h.s.Token())
		}
		if err := h.s.Renew("fresh"); err != nil {
			w.t.Fatal(err)
		}
		got := <-done
		if len(got.text) != 3 || !about(got.at[0], 30*time.Second) || !about(got.at[1], 140*time.Second) || !about(got.gone, 175*time.Second) {
			w.t.Errorf("got %v at %v, closed after %v", got.text, got.at, got.gone)
		}
		if n := counter(w, `roomspa_token_renewals_total`, "outcome", "accepted"); n != 1 {
			w.t.Errorf("%v renewals counted", n)
		}
	})
}

func TestGrantsEndTheSessionsThatTheyAdmitted(t *testing.T) {
	inBubble(t, renewing(), func(w *world) {
		now := time.Now()
		var last *script
		var conns []*websocket.Conn
		for i, tok := range []session.Token{
			{User: 7, IssuedAt: now, ExpiresAt: now.Add(time.Hour)},
			{User: 7, IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour)},
			{User: 8, ExpiresAt: now.Add(time.Hour)},
			{User: 9, IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour)},
			{}, // the test endpoint's
		} {
			c, h := w.dial()
			if conns = append(conns, c); i < 4 {
				h.s.Authenticate(tok)
				h.s.Admit("customer", []int64{tok.User, 2})
				last = h
			}
		}
		grants := w.registry.Grants()
		for _, g := range grants {
			if g.Role != "customer" || len(g.IDs) != 2 || g.IDs[0] != g.User || g.IssuedAt.IsZero() != (g.User == 8) {
				w.t.Errorf("grant %+v", g)
			}
		}
		last.s.Authenticate(session.Token{User: 9, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}) // renewed meanwhile
		revoked := &frame.Close{Code: frame.CodeIdentity, Reason: "token_revoked"}
		if n := w.registry.EndWhere(grants, func(g session.Grant) *frame.Close {
			if g.User != 8 && g.IssuedAt.Before(now.Add(-time.Second)) {
				return revoked
			}
			return nil
		}); n != 1 || len(grants) != 4 {
			w.t.Errorf("%d of %d ended", n, len(grants))
		}
		_, err := readAll(conns[1])
		wantClose(w.t, err, 4001, "token_revoked ref="+ref)
		synctest.Wait()
		if n, open := w.registry.Len(), len(w.registry.Grants()); n != 4 || open != 3 {
			w.t.Errorf("%d are left, %d of them with a token", n, open)
		}
	})
}

func TestASessionThatEndsDuringItsHandshakeNeverStarts(t *testing.T) {
	inBubble(t, renewing(), func(w *world) {
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			w.registry.EndWhere(w.registry.Grants(), func(session.Grant) *frame.Close {
				return &frame.Close{Code: frame.CodeIdentity, Reason: "user_inactive"}
			})
			h.out = append(h.out, frame.Message{Data: []byte(`{"type":"connected"}`)})
		}
		c, _ := w.dial()
		texts, err := readAll(c)
		wantClose(w.t, err, 4001, "user_inactive ref="+ref)
		if len(texts) != 1 {
			w.t.Errorf("got %v", texts)
		}
	})
}

func counter(w *world, name, label, value string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetName() == label && m.GetLabel()[0].GetValue() == value {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestTokenExpiryEndsTheSession(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		began := time.Now()
		c, h := w.dial()
		h.s.Authenticate(session.Token{User: 7, ExpiresAt: time.Now().Add(20 * time.Second)})
		texts, err := readAll(c)
		wantClose(w.t, err, 4001, "token_expired ref="+ref)
		wantError(w.t, texts[0], "token_expired", 4001)
		if d := time.Since(began); d < 19*time.Second || d > 22*time.Second {
			w.t.Fatalf("after %v", d)
		}
	})
}
