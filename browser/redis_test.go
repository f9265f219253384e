package browser_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"
)

// redisProcess returns the process id of Redis, as INFO reports it.
func redisProcess(t *testing.T) (pid int) {
	t.Helper()
	u, err := url.Parse(world.report.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, limit) //nolint:noctx // has a limit
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(limit))
	password, _ := u.User.Password()
	fmt.Fprintf(conn, "AUTH %s %s\r\nINFO server\r\n", u.User.Username(), password)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "process_id:%d", &pid); err == nil {
			return pid
		}
	}
	t.Fatal("Redis does not tell its process id")
	return 0
}
