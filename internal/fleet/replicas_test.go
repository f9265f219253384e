package fleet_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// waitWarning waits until a replica is ready and warns of a cause all the same, with the names of the replicas it means.
func waitWarning(t *testing.T, r *world.Replica, cause, names string) {
	t.Helper()
	world.Eventually(t, "it warns of "+cause+" with "+names, func() (bool, any) {
		status, answer := r.Readyz(t)
		f := world.Finding(answer, "replicas")
		warned := slices.Contains(answer.Warnings, ops.Warning{Cause: cause, Text: f.Warning, Advice: f.Advice})
		return status == http.StatusOK && f.OK && f.Cause == cause && strings.HasSuffix(f.Warning, ": "+names) && f.Advice != "" && warned, answer
	})
}

// expectNoWarning fails the test if a replica has warned of the others.
func expectNoWarning(t *testing.T, r *world.Replica) {
	t.Helper()
	if _, answer := r.Readyz(t); world.Finding(answer, "replicas").Warning != "" || strings.Contains(r.Log.String(), "[Replicas]") {
		t.Errorf("%+v\n%s", answer, r.Log.String())
	}
}

// TestReplicasThatDoNotHearEachOtherSaySo lets three replicas share Postgres, and two
// of them a channel layer.
func TestReplicasThatDoNotHearEachOtherSaySo(t *testing.T) {
	t.Parallel()
	healthy, w := world.New(t), world.New(t)
	x, y := healthy.Pair(t)
	a, b := w.Pair(t)
	c := w.Ready(t, "c", func(o *app.Options) { o.RedisPrefix += "elsewhere:" })
	waitWarning(t, a, "split_channel_layer", "c")
	waitWarning(t, b, "split_channel_layer", "c")
	waitWarning(t, c, "split_channel_layer", "a, b")
	if n, m := a.Metric(t, "roomspa_replicas_unheard"), c.Metric(t, "roomspa_replicas_unheard"); n != 1 || m != 2 {
		t.Errorf("the metrics are %v and %v", n, m)
	}
	const line = `level=ERROR msg="[Replicas] Channel layer split: replicas share Postgres, but their heartbeats do not arrive over Redis: `
	for r, names := range map[*world.Replica]string{a: "c", b: "c", c: "a, b"} {
		if !strings.Contains(r.Log.String(), line+names+`"`) || !strings.Contains(r.Log.String(), "cause=split_channel_layer") {
			t.Errorf("there is no line that names %s:\n%s", names, r.Log.String())
		}
	}
	expectNoWarning(t, x)
	expectNoWarning(t, y)
	if _, answer := x.Readyz(t); world.Finding(answer, "replicas").Detail != "other live replicas: 1" {
		t.Errorf("the healthy pair does not see each other: %+v", answer)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "the others are content when it has gone", func() (bool, any) {
		_, answer := a.Readyz(t)
		return world.Finding(answer, "replicas").Cause == "" && a.Metric(t, "roomspa_replicas_unheard") == 0 &&
			strings.Contains(a.Log.String(), `level=INFO msg="[Replicas] Channel layer no longer split: the heartbeats of all replicas arrive over Redis"`), answer
	})
}

func TestReplicasWithOtherSecretsSaySo(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	const next = "the next secret of the tests with 32 bytes"
	secrets := func(all ...string) func(*app.Options) {
		return func(o *app.Options) { o.JWTSecrets = all }
	}
	old, both := w.Ready(t, "old", secrets(world.Secret)), w.Ready(t, "both", secrets(world.Secret, next))
	last := w.Ready(t, "last", secrets(next))
	waitWarning(t, last, "different_secrets", "both, old")
	waitWarning(t, old, "different_secrets", "last")
	waitWarning(t, both, "different_secrets", "last")
	if n := old.Metric(t, "roomspa_replicas_with_other_secrets"); n != 1 {
		t.Errorf("the metric is %v", n)
	}
	if log := old.Log.String(); !strings.Contains(log, `level=WARNING msg="[Replicas] JWT secrets differ: replicas refuse each other's tokens: last"`) ||
		strings.Contains(log, next) || strings.Contains(log, world.Secret) {
		t.Errorf("the log is\n%s", log)
	}
}
