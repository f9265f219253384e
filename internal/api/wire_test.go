package api_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// connect opens a connection to a replica.
func connect(t testing.TB, r *world.Replica) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr()) //nolint:noctx // to this machine
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(world.Limit))
	return conn
}

func TestARequestWithTwoLengthsEndsTheConnection(t *testing.T) {
	t.Parallel()
	conn := connect(t, world.New(t).Ready(t, "a"))
	request := "POST /login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	if _, err := io.WriteString(conn, request+"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if rest, err := io.ReadAll(from); res.StatusCode != http.StatusBadRequest || !res.Close || len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("status %d, close %v, then %q, %v", res.StatusCode, res.Close, rest, err)
	}
}

func TestAnswersThatNobodyReadsEndTheConnection(t *testing.T) {
	t.Parallel()
	conn := connect(t, world.New(t).Ready(t, "a"))
	requests := strings.Repeat("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 200)
	var err error
	for err == nil {
		_, err = io.WriteString(conn, requests)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
}
