package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
)

// slowlyFound is how long it may take until replicas are sure of what is wrong between
// them: half a minute, and a few looks.
const slowlyFound = 75 * time.Second

// warns waits until a replica is ready and warns of something nevertheless, and names
// whom it means.
func (r *replica) warns(t *testing.T, cause, names string) {
	t.Helper()
	eventually(t, busy(slowlyFound), "it warns of "+cause+" with "+names, func() (bool, any) {
		status, answer := r.readyz(t)
		f := finding(answer, "replicas")
		return status == http.StatusOK && f.OK && f.Cause == cause && strings.HasSuffix(f.Warning, ": "+names) && f.Advice != "", answer
	})
}

// isSilent fails the test if a replica has ever said something of the others.
func (r *replica) isSilent(t *testing.T) {
	t.Helper()
	if _, answer := r.readyz(t); finding(answer, "replicas").Warning != "" || strings.Contains(r.text.String(), "[Replicas]") {
		t.Errorf("%+v\n%s", answer, r.text.String())
	}
}

// TestReplicasThatDoNotHearEachOtherSaySo lets three replicas share Postgres, and two
// of them a channel layer.
func TestReplicasThatDoNotHearEachOtherSaySo(t *testing.T) {
	t.Parallel()
	healthy, w := newWorld(t), newWorld(t)
	x, y := healthy.pair(t)
	a, b := w.pair(t)
	c := w.ready(t, "c", func(o *app.Options) { o.RedisPrefix += "elsewhere:" })
	a.warns(t, "split_channel_layer", "c")
	b.warns(t, "split_channel_layer", "c")
	c.warns(t, "split_channel_layer", "a, b")
	if n, m := a.metric(t, "roomspa_replicas_unheard"), c.metric(t, "roomspa_replicas_unheard"); n != 1 || m != 2 {
		t.Errorf("the metrics are %v and %v", n, m)
	}
	const line = `level=ERROR msg="[Replicas] Channel layer split: replicas share Postgres but are not heard over Redis: `
	for r, names := range map[*replica]string{a: "c", b: "c", c: "a, b"} {
		if !strings.Contains(r.text.String(), line+names+`"`) || !strings.Contains(r.text.String(), "cause=split_channel_layer") {
			t.Errorf("there is no line that names %s:\n%s", names, r.text.String())
		}
	}
	x.isSilent(t)
	y.isSilent(t)
	if _, answer := x.readyz(t); finding(answer, "replicas").Detail != "other live replicas: 1" {
		t.Errorf("the healthy pair does not see each other: %+v", answer)
	}
	if err := c.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the others are content when it has gone", func() (bool, any) {
		_, answer := a.readyz(t)
		return finding(answer, "replicas").Cause == "" && a.metric(t, "roomspa_replicas_unheard") == 0 &&
			strings.Contains(a.text.String(), `level=INFO msg="[Replicas] Channel layer no longer split: all replicas that share Postgres are heard over Redis"`), answer
	})
}

func TestReplicasWithOtherSecretsSaySo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const next = "the next secret of the tests, with 32 bytes"
	secrets := func(all ...string) func(*app.Options) {
		return func(o *app.Options) { o.JWTSecrets = all }
	}
	old, both := w.ready(t, "old", secrets(secret)), w.ready(t, "both", secrets(secret, next))
	last := w.ready(t, "last", secrets(next))
	last.warns(t, "different_secrets", "both, old")
	old.warns(t, "different_secrets", "last")
	both.warns(t, "different_secrets", "last")
	if n := old.metric(t, "roomspa_replicas_with_other_secrets"); n != 1 {
		t.Errorf("the metric is %v", n)
	}
	if log := old.text.String(); !strings.Contains(log, `level=WARNING msg="[Replicas] JWT secrets differ: replicas refuse each other's tokens: last"`) ||
		strings.Contains(log, next) || strings.Contains(log, secret) {
		t.Errorf("the log is\n%s", log)
	}
}
