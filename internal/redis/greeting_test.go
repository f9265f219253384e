package redis

import (
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A real Redis in protected mode refuses only clients from other hosts, so a listener
// plays it.
func TestAHangUpIsExplainedByTheServersRefusal(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			refused, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = refused.Write([]byte("-DENIED Redis is running in protected mode\r\n"))
			_ = refused.Close()
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = ln.Close() })
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	c := &conn{Conn: dialed}
	const want = "DENIED Redis is running in protected mode (connection reset by peer)"
	if err := c.explain(syscall.ECONNRESET); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a reset is explained as %v", err)
	}
	_ = ln.Close() // it asks once
	if err := c.explain(syscall.EPIPE); err == nil || !strings.Contains(err.Error(), "DENIED Redis is running in protected mode (broken pipe)") {
		t.Errorf("a second failure is explained as %v", err)
	}
}
