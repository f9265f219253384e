package failure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An outage is an error of a store.
type outage string

func (o outage) Error() string { return "insert message: " + string(o) }
func (outage) Cause() string   { return "postgres_disk_full" }

func TestFailuresAreKeptForTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Log
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.Run(ctx)
		for range 1000 {
			l.Attempt(Send)
		}
		time.Sleep(11 * time.Minute) //nolint:forbidigo // in a bubble
		for range 1200 {
			l.Attempt(Send)
		}
		for i := range 336 {
			l.Failed(Send, "database_unavailable", outage(fmt.Sprint("no space, ", i)))
		}
		began := time.Now()
		time.Sleep(9 * time.Minute) //nolint:forbidigo // in a bubble
		l.Failed(Send, "database_unavailable", outage("no space"))
		got := l.Recent()
		if len(got) != 1 {
			t.Fatalf("it keeps %+v", got)
		}
		s := got[0]
		if s.Kind != "send" || s.Cause != "postgres_disk_full" || s.Side != Server || s.Count != 337 || s.Of != 1200 || s.Text != "insert message: no space" || s.Advice == "" {
			t.Errorf("it says %+v", s)
		}
		if s.First.Sub(began).Abs() > time.Second || s.Last.Sub(time.Now()).Abs() > time.Second {
			t.Errorf("it lasted from %v to %v", s.First, s.Last)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // in a bubble
		if s := l.Recent()[0]; s.Count != 1 || s.First.Sub(began).Abs() > time.Second {
			t.Errorf("after two more minutes: %+v", s)
		}
		time.Sleep(9 * time.Minute) //nolint:forbidigo // in a bubble
		if got := l.Recent(); len(got) != 0 || got == nil {
			t.Errorf("after eleven minutes: %+v", got)
		}
		l.Failed(Send, "database_unavailable", outage("again"))
		if s := l.Recent()[0]; s.Count != 1 || !s.First.Equal(s.Last) {
			t.Errorf("when it comes back: %+v", s)
		}
	})
}

func TestOnlyFailuresOfTheServerAreFindings(t *testing.T) {
	t.Parallel()
	var l Log
	for range 2500 {
		l.Attempt(Handshake)
		l.Refused(Handshake, "token_expired")
	}
	l.Failed(Handshake, "internal", context.Canceled)
	for range 2 {
		l.Failed(Handshake, "internal", errors.New("panic: x\nits stack"))
	}
	if found := l.Findings(); len(found) != 0 {
		t.Errorf("two of 2500: %v", found)
	}
	l.Failed(Handshake, "internal", errors.New("panic: x\nits stack"))
	l.Attempt(Ticket)
	l.Failed(Ticket, "channel_layer_unavailable", errors.New("no answer"))
	found := l.Findings()
	if len(found) != 2 || !strings.HasPrefix(found[0].Error(), "3 of 2500 handshakes failed in the last 10m0s, ") || !strings.HasSuffix(found[0].Error(), "ago: panic: x") ||
		!strings.HasPrefix(found[1].Error(), "1 of 1 requests for a ticket ") {
		t.Errorf("three of 2500, and a ticket: %v", found)
	}
	if s := l.Recent()[2]; s.Side != Client || s.Cause != "token_expired" || s.Text == "" || s.Advice == "" {
		t.Errorf("of the clients: %+v", s)
	}
}

func TestNobodyFillsTheLog(t *testing.T) {
	t.Parallel()
	var l Log
	for i := range 10_000 {
		l.Refused(Handshake, fmt.Sprint("word_", i))
	}
	l.Failed(REST, "internal", errors.New(strings.Repeat("x", 10_000)+" name@example.com"))
	l.Failed(SignIn, "internal", errors.New("load user name@example.com: no answer"))
	got := l.Recent()
	if len(got) > maxCauses+3 {
		t.Errorf("it keeps %d causes", len(got))
	}
	for _, s := range got {
		if len(s.Text) > maxText+10 || strings.Contains(s.Text, "@") {
			t.Errorf("%s has the text %q", s.Kind, s.Text)
		}
	}
	if got[0].Side != Server || got[1].Side != Server || got[1].Text != "load user … no answer" {
		t.Errorf("it begins with %+v", got[:2])
	}
	(*Log)(nil).Attempt(Send)
	(*Log)(nil).Failed(Send, "internal", nil)
	if got := (*Log)(nil).Recent(); got == nil || (*Log)(nil).Findings() != nil {
		t.Errorf("without a log: %v", got)
	}
}

func TestAnAttemptAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun
	var l Log
	if n := testing.AllocsPerRun(100, func() { l.Attempt(Send) }); n != 0 {
		t.Errorf("an attempt allocates %v times", n)
	}
}
