package redis_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// startSentinel runs a sentinel of the same build as the server, and returns its
// address.
func startSentinel(t testing.TB, server *sandbox.Redis, conf []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf") // it writes to it
	conf = append(conf, "port "+port, "bind 127.0.0.1", "dir "+dir, "protected-mode no", `logfile ""`)
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := server.Beside(file, "--sentinel")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, 20*time.Second, func() (bool, any) {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil, err
	})
	return addr
}
