package world

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/ops"
)

// WaitReady waits until /readyz is 200.
func (r *Replica) WaitReady(t testing.TB) {
	t.Helper()
	Eventually(t, "the replica is ready", func() (bool, any) {
		status, answer := r.Readyz(t)
		return status == http.StatusOK && answer.Ready, answer
	})
}

// isReady asks /readyz once. It is false where nobody answers.
func (r *Replica) isReady(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Ops("/readyz"), nil)
	if err != nil {
		return false
	}
	res, err := plain.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// WaitUnready waits until /readyz is 503 because of a check whose error contains one of the words, in any case. It
// returns the error.
func (r *Replica) WaitUnready(t testing.TB, check string, words ...string) (why string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%s makes the replica unready with one of %q", check, words), func() (bool, any) {
		status, answer := r.Readyz(t)
		f := Finding(answer, check)
		why = f.Error
		found := len(words) == 0 && why != ""
		for _, w := range words {
			found = found || strings.Contains(strings.ToLower(why), strings.ToLower(w))
		}
		return status == http.StatusServiceUnavailable && !answer.Ready && !f.OK && f.Since != nil && found && f.Cause != "" && f.Advice != "", answer
	})
	return why
}

// WaitNotReady waits until /readyz is 503.
func (r *Replica) WaitNotReady(t testing.TB) {
	t.Helper()
	Eventually(t, "the replica is not ready", func() (bool, any) {
		status, answer := r.Readyz(t)
		return status == http.StatusServiceUnavailable, answer
	})
}

// Finding returns the finding of one check of /readyz.
func Finding(answer ops.Readiness, check string) ops.Result {
	for _, f := range answer.Checks {
		if f.Name == check {
			return f
		}
	}
	return ops.Result{}
}

// Readyz asks /readyz.
func (r *Replica) Readyz(t testing.TB) (status int, answer ops.Readiness) {
	t.Helper()
	status, _, body := Get(t, r.Ops("/readyz"))
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("/readyz: %v: %s", err, body)
	}
	return status, answer
}

// Metric returns the value of a line of /metrics, 0 where there is no such line.
func (r *Replica) Metric(t testing.TB, line string) float64 {
	t.Helper()
	_, _, body := Get(t, r.Ops("/metrics"))
	for l := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(l, line+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// WaitAdmitted waits until a new chat socket is let in.
func (r *Replica) WaitAdmitted(t testing.TB) {
	t.Helper()
	Eventually(t, "a new socket is let in", func() (bool, any) {
		s, res, err := r.Dial(t, Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", r.World.Token(t, Therapist)}})
		if err != nil {
			return false, res
		}
		f := s.Next(t)
		return f.Type == "connected", f.Raw
	})
}
