package world

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Balance returns the address of a load balancer, which passes each connection to the first replica that takes it, in
// turn.
func Balance(t testing.TB, replicas ...string) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for turn := 0; ; turn++ {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = client.Close() }()
				for i := range replicas {
					replica, err := new(net.Dialer).DialContext(t.Context(), "tcp", replicas[(turn+i)%len(replicas)])
					if err != nil {
						continue
					}
					serving.Go(func() { _, _ = io.Copy(replica, client); _ = replica.Close() })
					_, _ = io.Copy(client, replica)
					_ = replica.Close()
					return
				}
			})
		}
	})
	return l.Addr().String()
}
