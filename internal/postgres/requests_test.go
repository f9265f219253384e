package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// A user who uses a refresh token many times at once holds half of the connections.
func TestRequestsLeaveConnectionsForTheRest(t *testing.T) {
	t.Parallel()
	url := database(t)
	setup, db := open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url, MaxConnections: 4, AcquireTimeout: time.Second})
	c := conversation(t, setup, 1)
	rotate(t, setup, refreshToken(0), refreshToken(1))
	lock := direct(t, url)
	execute(t, lock, "BEGIN")
	execute(t, lock, "SELECT FROM roomspa.refresh_families FOR UPDATE")
	var flood sync.WaitGroup
	use := func() error {
		_, err := db.RotateRefresh(t.Context(), refreshToken(1), refreshToken(2), time.Minute)
		return err
	}
	for range 2 {
		flood.Go(func() {
			for use() != nil && t.Context().Err() == nil { // a busy machine may need longer to connect
			}
		})
	}
	waitForLocks(t, url, 2)
	var beyond sync.WaitGroup
	for range 4 {
		beyond.Go(func() {
			if err := use(); postgres.Cause(err) != "pool_timeout" {
				t.Errorf("one beyond them: %v", err)
			}
		})
	}
	beyond.Wait()
	eventually(t, "send", func() error { _, _, err := db.Append(t.Context(), c, says("x", "")); return err })
	eventually(t, "load a user", func() error { _, err := db.Users(t.Context(), []room.UserID{1}); return err })
	eventually(t, "probe", func() error { _, err := db.Probe(t.Context()); return err })
	execute(t, lock, "ROLLBACK")
	flood.Wait()
	eventually(t, "use it again", use)
}
