package sandbox_test

import (
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func TestABackupIsRestoredUnderOpenConnections(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(scratch(t), "pg"))
	conn, err := pgx.Connect(limited(t), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(limited(t))
	mustQuery(t, p.URL("postgres"), "CREATE SCHEMA s", "")
	mustQuery(t, p.URL("postgres"), "CREATE TABLE s.word AS SELECT 'kept' AS w", "")
	path, err := p.Dump(limited(t), "postgres", "first")
	if err != nil {
		t.Fatal(err)
	}
	mustQuery(t, p.URL("postgres"), "UPDATE s.word SET w = 'lost'", "")
	if err := p.Restore(limited(t), "postgres", path); err != nil {
		t.Fatal(err)
	}
	var word string
	if err := conn.QueryRow(limited(t), "SELECT w FROM s.word").Scan(&word); err != nil || word != "kept" {
		t.Errorf("%q, %v", word, err)
	}
	if err := p.Restore(limited(t), "postgres", path+"-none"); err == nil {
		t.Error("a backup that does not exist is restored")
	}
}

func TestAStandbyFollowsAndIsPromoted(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	primary, err := sandbox.StartPostgres(limited(t), sandbox.PostgresOptions{
		Dir: filepath.Join(dir, "primary"), Settings: sandbox.ReplicationSettings(), QuickInit: true, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, primary.Stop) })
	mustQuery(t, primary.URL("postgres"), "CREATE TABLE word AS SELECT 'kept' AS w", "")
	link := netfault.New(t, primary.Addr())
	standby, err := sandbox.StartStandby(limited(t), primary, link.Addr(), sandbox.PostgresOptions{
		Dir: filepath.Join(dir, "standby"), Settings: sandbox.ReplicationSettings(), Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, standby.Stop) })
	mustQuery(t, standby.URL("postgres"), "SELECT w || pg_is_in_recovery() FROM word", "kepttrue")
	link.Stall()
	mustQuery(t, primary.URL("postgres"), "UPDATE word SET w = 'lost'", "")
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(limited(t)); err != nil {
		t.Fatal(err)
	}
	mustQuery(t, standby.URL("postgres"), "UPDATE word SET w = w || ' and written'", "")
	mustQuery(t, standby.URL("postgres"), "SELECT w FROM word", "kept and written")
}
