package soak

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A cluster is a primary and a standby, whose link can be stalled.
type cluster struct {
	*scene

	standby *sandbox.Postgres
	link    *netfault.Proxy
}

// newCluster returns a scene whose replicas know both servers.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	t.Parallel()
	w := world.New(t, world.EmptyDatabase)
	w.Postgres = world.StartPostgres(t, sandbox.ReplicationSettings())
	w.DatabaseURL = w.Postgres.URL("postgres")
	if err := oneRoom(t.Context(), w.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	c := &cluster{link: netfault.New(t, w.Postgres.Addr())}
	var err error
	c.standby, err = sandbox.StartStandby(t.Context(), w.Postgres, c.link.Addr(), sandbox.PostgresOptions{
		Dir: filepath.Join(filepath.Dir(w.Postgres.Dir()), "standby-of-"+filepath.Base(w.Postgres.Dir())), Settings: sandbox.ReplicationSettings(), Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), world.Limit)
		defer cancel()
		if err := c.standby.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	both, err := url.Parse(w.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	both.Host += "," + c.standby.Addr()
	c.scene = newSceneIn(t, w, 2, 0, "ROOMSPA_DATABASE_URL="+both.String())
	c.spread(t)
	return c
}

// heartbeats returns how many heartbeats a server has counted.
func heartbeats(t *testing.T, databaseURL string) int64 {
	t.Helper()
	return world.Query[int64](t, &world.World{DatabaseURL: databaseURL}, "SELECT heartbeats FROM roomspa.deployment")
}

// waitFollowed waits until the standby has everything that the primary has now.
func (c *cluster) waitFollowed(t *testing.T) {
	t.Helper()
	end := world.Query[string](t, c.world, "SELECT pg_current_wal_insert_lsn()::text")
	at := &world.World{DatabaseURL: c.standby.URL("postgres")}
	world.Eventually(t, "the standby follows", func() (bool, any) {
		return world.Query[bool](t, at, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", end), end
	})
}

// promote makes the standby the primary. The scene then looks there.
func (c *cluster) promote(t *testing.T) error {
	t.Helper()
	if err := c.standby.Promote(t.Context()); err != nil {
		return err //nolint:wrapcheck // for the test
	}
	c.pgURL = c.standby.URL("postgres")
	c.world.DatabaseURL = c.pgURL
	return nil
}

// TestAFailoverToAStandbyThatWasBehind loses messages that were stored between two
// heartbeats, so that only their absence shows it.
func TestAFailoverToAStandbyThatWasBehind(t *testing.T) {
	c := newCluster(t)
	check := c.steady()
	c.talk(t)
	_, timeline := c.identity(t)
	c.waitHeartbeats(t, 1)
	c.waitFollowed(t)
	var lost int64
	c.rewind(t, func() error {
		c.link.Stall()
		c.acknowledge(t, rewound)
		last := heartbeats(t, c.pgURL)
		if err := c.world.Postgres.Kill(); err != nil {
			return err //nolint:wrapcheck // for the test
		}
		err := c.promote(t)
		lost = last - heartbeats(t, c.pgURL)
		return err
	})
	c.waitReset(t, 1)
	c.talk(t)
	c.waitHeartbeats(t, 1)
	if _, now := c.identity(t); now != timeline+1 {
		t.Errorf("timeline %d, want %d", now, timeline+1)
	}
	if lost > 0 {
		t.Logf("%d heartbeats were lost as well: the machine is busy", lost)
	}
	c.verdict(t)
	check(t, 1)
}

func TestAFailoverThatLosesNothingResetsNobody(t *testing.T) {
	c := newCluster(t)
	check := c.steady()
	c.talk(t)
	id, timeline := c.identity(t)
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	if err := c.world.Postgres.Stop(ctx); err != nil { // sends the standby everything first
		t.Fatal(err)
	}
	if err := c.promote(t); err != nil {
		t.Fatal(err)
	}
	c.waitHeartbeats(t, 2)
	c.acknowledge(t, 25)
	if again, now := c.identity(t); again != id || now != timeline {
		t.Errorf("deployment %s on timeline %d, want %s on timeline %d", again, now, id, timeline)
	}
	c.verdict(t)
	check(t, 0)
}

// follow makes commits on the primary wait for its standby, as in production.
func follow(t *testing.T, primary *sandbox.Postgres) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	if err := waitForStandby(ctx, primary.URL("postgres")); err != nil {
		t.Fatal(err)
	}
}

// rejoin makes a new standby of the primary, on the address of the server that was the primary before.
func (c *cluster) rejoin(t *testing.T) *sandbox.Postgres {
	t.Helper()
	_, port, err := net.SplitHostPort(c.world.Postgres.Addr())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	again, err := sandbox.StartStandby(t.Context(), c.standby, c.standby.Addr(), sandbox.PostgresOptions{
		Dir: c.standby.Dir() + "-again", Port: number, Settings: sandbox.ReplicationSettings(), Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Kill() })
	return again
}

// TestFailoversOfASynchronousPairUnderLoad kills the primary while everybody talks, promotes the standby, brings the old
// primary back as a standby, and fails back to it. What was acknowledged is on both servers, so nobody is reset.
func TestFailoversOfASynchronousPairUnderLoad(t *testing.T) {
	c := newCluster(t)
	follow(t, c.world.Postgres)
	check := c.steady()
	c.talk(t)
	id, timeline := c.identity(t)
	if err := c.world.Postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.promote(t); err != nil {
		t.Fatal(err)
	}
	c.acknowledge(t, 50)

	again := c.rejoin(t)
	follow(t, c.standby)
	c.acknowledge(t, 50)
	if err := c.standby.Kill(); err != nil {
		t.Fatal(err)
	}
	c.standby = again
	if err := c.promote(t); err != nil {
		t.Fatal(err)
	}
	c.acknowledge(t, 50)
	c.waitHeartbeats(t, 2)
	if same, now := c.identity(t); same != id || now != timeline {
		t.Errorf("deployment %s on timeline %d, want %s on timeline %d", same, now, id, timeline)
	}
	c.verdict(t)
	check(t, 0)
}

// TestAnOldPrimaryThatComesBackBesideTheNewOne is a failover without fencing: the first host of the URL takes writes
// again, of which none can be confirmed. Replicas that reach it acknowledge nothing until it is stopped, and lose nothing.
func TestAnOldPrimaryThatComesBackBesideTheNewOne(t *testing.T) {
	c := newCluster(t)
	old := c.world.Postgres
	follow(t, old)
	c.talk(t)
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.promote(t); err != nil {
		t.Fatal(err)
	}
	c.acknowledge(t, 50)
	if err := old.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.world.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'roomspa'")
	both := &world.World{DatabaseURL: old.URL("postgres")}
	world.Eventually(t, "a commit waits at the old primary", func() (bool, any) {
		n := world.Query[int](t, both, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		return n > 0, n
	})
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	c.acknowledge(t, 50)
	c.waitHeartbeats(t, 2)
	c.verdict(t)
}
