package netfault_test

import (
	"net"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
)

func TestPublishedMessagesAreDroppedAndNothingElse(t *testing.T) {
	addr, _ := echo(t)
	p, err := netfault.ListenRedis(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	const (
		message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n\r\n*3\r\n"
		other   = "*2\r\n%1\r\n+k\r\n$-1\r\n$4\r\n\r\n$9\r\n:5\r\n*-1\r\n_\r\n*0\r\n"
	)
	p.DropPublished(2)
	c := dial(t, p)
	send(t, c, other+message+other+message+message+other[:7])
	send(t, c, other[7:])
	receive(t, c, other+message+other+message+other)
	p.Heal()
	send(t, c, message+message)
	receive(t, c, message+message)
	if n := p.Counts().Dropped; n != 1 {
		t.Errorf("%d messages were dropped, want 1", n)
	}
	send(t, c, message[:20]) // the end of a stream passes on what there is
	_ = c.(*net.TCPConn).CloseWrite()
	receive(t, c, message[:20])
}
