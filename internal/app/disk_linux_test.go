package app_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// smallDisk mounts a file system of 2 MiB beside the data of the world's Postgres, and puts the
// table of messages there. It returns its directory.
func smallDisk(t *testing.T, w *world.World) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(w.Postgres.Dir()), "disk-of-"+filepath.Base(w.Postgres.Dir()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("a small file system cannot be mounted: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	owner, err := os.Stat(filepath.Join(w.Postgres.Dir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := owner.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(dir, int(s.Uid), int(s.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	world.Exec(t, w.DatabaseURL, fmt.Sprintf("CREATE TABLESPACE small LOCATION '%s'", dir))
	world.Exec(t, w.DatabaseURL, "ALTER TABLE roomspa.messages SET TABLESPACE small")
	return dir
}

// TestTheDiskOfPostgresIsFull: what only reads works on, a message that cannot be stored gets an
// error with the cause and no ack, and when there is room the same message is stored, without
// a restart.
func TestTheDiskOfPostgresIsFull(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnPostgres)
	dir := smallDisk(t, w)
	r := w.Ready(t, "a")
	from, to := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	position, follower := r.Location(t, world.Therapist), r.Location(t, world.Customer)
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var text string
	for len(text) < 3900 {
		text += rand.Text() // it cannot be compressed
	}
	acknowledged := 0
	var refused world.Frame
	for refused.Type != "error" {
		from.Say(t, text, fmt.Sprint("disk-", acknowledged+1))
		for refused = from.Next(t); refused.Type != "error" && refused.Type != "ack"; {
			refused = from.Next(t)
		}
		if refused.Type == "ack" {
			acknowledged++
		}
		if acknowledged > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	if refused.Code != "database_unavailable" || refused.ClientMessageID != fmt.Sprint("disk-", acknowledged+1) || !strings.Contains(r.Log.String(), "postgres_disk_full") {
		t.Errorf("the sender gets %s", refused.Raw)
	}
	to.ExpectMessages(t, 0, acknowledged)
	status, answer := r.Readyz(t)
	if f := world.Finding(answer, "postgres"); status != 200 || f.Cause != "postgres_disk_full" || f.Advice == "" {
		t.Errorf("/readyz: %d %+v", status, answer)
	}
	position.Send(t, `{"latitude":1,"longitude":2}`)
	follower.Expect(t, "location_update")
	tokens := r.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	r.Refresh(t, tokens.Refresh).Expect(t, 200, "")
	if res, body := r.Request(t, "GET", "/api/conversations/", tokens.Access, ""); res.StatusCode != 200 {
		t.Errorf("conversations: %d %s", res.StatusCode, body)
	}
	r.ConnectAs(t, 3, "/ws/chat/3/4/", nil).Expect(t, "connected") // a new conversation

	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	from.Say(t, text, refused.ClientMessageID)
	if ack := from.Find(t, "ack"); int(ack.Seq) != acknowledged+1 {
		t.Errorf("the message that was refused is %s, want number %d", ack.Raw, acknowledged+1)
	}
	to.ExpectMessages(t, int64(acknowledged), 1)
	if _, answer := r.Readyz(t); world.Finding(answer, "postgres").Warning != "" {
		t.Errorf("/readyz: %+v", answer)
	}
}
