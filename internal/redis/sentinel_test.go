package redis_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// startSentinel runs a sentinel of the same build as the server at url, and
// returns its address.
func startSentinel(t testing.TB, url string, conf []string) string {
	t.Helper()
	program, env := executable(t, url)
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
	cmd := exec.Command(program, file, "--sentinel") //nolint:gosec,noctx // the server that is tested; ended below
	cmd.Env, cmd.Stdout, cmd.Stderr = env, t.Output(), t.Output()
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

// executable asks a running server which program it is, and with what
// environment it was started (it may need a library path).
func executable(t testing.TB, url string) (program string, env []string) {
	t.Helper()
	direct(t, url, func(ctx context.Context, node *goredis.Client) {
		info := node.Info(ctx, "server").Val()
		path := regexp.MustCompile(`executable:(.*?)\r`).FindStringSubmatch(info)
		pid := regexp.MustCompile(`process_id:(\d+)\r`).FindStringSubmatch(info)
		if path == nil || pid == nil {
			t.Fatalf("INFO server does not say what runs: %s", info)
		}
		program, env = path[1], os.Environ()
		if raw, err := os.ReadFile("/proc/" + pid[1] + "/environ"); err == nil {
			env = strings.Split(strings.Trim(string(raw), "\x00"), "\x00")
		}
	})
	return program, env
}
