package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

// idleSockets is how many sockets BenchmarkIdleSockets opens, and idleEnv the
// variable that says otherwise.
const (
	idleSockets = 5000
	idleEnv     = "ROOMSPA_BENCH_SOCKETS"
	prewarmed   = 50
)

// BenchmarkIdleSockets measures what an authenticated chat socket that has sent
// one message costs a replica while it is idle, beside the least that a server on
// the same library can do. Each is a process of its own; its resident set is read
// from outside, as it is and after it was told to give back what it can.
func BenchmarkIdleSockets(b *testing.B) {
	n := idleSockets
	if text := os.Getenv(idleEnv); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > users {
			b.Fatalf("%s must be between 1 and %d", idleEnv, users)
		}
	}
	redisURL, prefix := world.Redis(b)
	databaseURL := world.Database(b, populate)
	for b.Loop() {
		replica := spawn(b, "replica", databaseURL, redisURL, prefix)
		ready(b, "http://"+replica.Ops)
		replica.hold(b, n, "")
		spawn(b, "floor").hold(b, n, "floor-")
	}
}

// A process is a server of the benchmark's, run from the test binary.
type process struct {
	Addr, Ops string

	database string // its URL, where it has one
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
}

const childRole, childArgs = "ROOMSPA_BENCH_CHILD", "ROOMSPA_BENCH_CHILD_ARGS"

func spawn(b *testing.B, role string, args ...string) *process {
	b.Helper()
	return spawnOn(b, "", role, args...)
}

// spawnOn starts a process on some processors, as in taskset -c; "" for all.
func spawnOn(b *testing.B, processors, role string, args ...string) *process {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := []string{self}
	if processors != "" {
		command = []string{"taskset", "-c", processors, self}
	}
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(b.Context()), command[0], command[1:]...)}
	p.cmd.Env = append(os.Environ(), childRole+"="+role, childArgs+"="+strings.Join(args, "\n"))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = p.in.Close() // that ends it
		_ = p.cmd.Wait()
	})
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		b.Fatalf("%s did not start: %v", role, err)
	}
	if err := json.Unmarshal(line, p); err != nil {
		b.Fatalf("%s: %v", role, err)
	}
	return p
}

func (p *process) rss(b *testing.B) float64 {
	b.Helper()
	rss, err := bench.RSS(p.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	return rss / 1024
}

// freed is the resident set after the process gave back what it can.
func (p *process) freed(b *testing.B) float64 {
	b.Helper()
	p.ask(b, "free")
	return p.rss(b)
}

// ask gives the process a command, and returns its answer.
func (p *process) ask(b *testing.B, command string) string {
	b.Helper()
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		b.Fatal(err)
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// hold opens n sockets and reports what each costs.
func (p *process) hold(b *testing.B, n int, name string) {
	b.Helper()
	closeAll(openAll(b, p.Addr, prewarmed))
	time.Sleep(time.Second) //nolint:forbidigo // the server has no word for "settled"
	before, beforeFreed := p.rss(b), p.freed(b)
	conns := openAll(b, p.Addr, n)
	time.Sleep(time.Second) //nolint:forbidigo // as above
	b.ReportMetric((p.rss(b)-before)/float64(n), name+"natural-KiB/socket")
	b.ReportMetric((p.freed(b)-beforeFreed)/float64(n), name+"freed-KiB/socket")
	closeAll(conns)
}

// openAll opens n sockets in rooms of two, and lets each send one message and see
// it come back.
func openAll(b *testing.B, addr string, n int) []*websocket.Conn {
	b.Helper()
	return openFrom(b, addr, 0, n)
}

// connected opens the i-th socket.
func connected(k *auth.Keys, addr string, i int) (*websocket.Conn, error) {
	customer, user := room.UserID(1+i/2*2), room.UserID(1+i)
	token, _, err := k.Mint(auth.Access, user, time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	// From several addresses: where one has used half of its ports, the kernel takes milliseconds to find a free one.
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/4000))}
	d := websocket.Dialer{
		Subprotocols: []string{"bearer", token}, HandshakeTimeout: time.Minute, ReadBufferSize: 512, WriteBufferPool: &sync.Pool{},
		NetDialContext: (&net.Dialer{LocalAddr: from}).DialContext,
	}
	conn, _, err := d.Dial(fmt.Sprintf("ws://%s/ws/chat/%d/%d/", addr, customer, customer+1), nil)
	if err != nil {
		return nil, err
	}
	return conn, until(conn, `"type":"connected"`)
}

// until reads up to a message that holds a text.
func until(conn *websocket.Conn, part string) error {
	for {
		_, text, err := conn.ReadMessage()
		if err != nil || strings.Contains(string(text), part) {
			return err
		}
	}
}

func openOne(k *auth.Keys, addr string, i int) (*websocket.Conn, error) {
	conn, err := connected(k, addr, i)
	if err != nil {
		return nil, err
	}
	id := "idle-" + strconv.Itoa(i) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	text := `{"message":"Good morning, I am on my way.","client_message_id":"` + id + `"}`
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		return nil, err
	}
	if err := until(conn, id); err != nil { // the acknowledgement, or the message itself
		return nil, err
	}
	go func() { // it answers pings, until the socket is closed
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	return conn, nil
}

func closeAll(conns []*websocket.Conn) {
	for _, c := range conns {
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		_ = c.Close()
	}
}

// child is what a spawned process does: it serves, says where, does what each line
// of its input says, and ends with that. "free" gives memory back; "kernel" and
// ports says what the kernel holds for the sockets of these peers. "open" opens sockets and holds them.
func child(role string) error {
	args := strings.Split(os.Getenv(childArgs), "\n")
	var say struct{ Addr, Ops string }
	switch role {
	case "replica":
		o, err := options(args[0], args[1], args[2], args[3:]...)
		if err != nil {
			return err
		}
		a, err := app.New(o, "bench", slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		if self, err := os.Executable(); err == nil {
			a.DelegatePasswords(self, passwordsRole)
		}
		stop, err := world.Run(context.Background(), a)
		if err != nil {
			return err
		}
		say.Addr, say.Ops = a.Addr(), a.OpsAddr()
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = stop(ctx)
		}()
	case "holder":
	default:
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		say.Addr = ln.Addr().String()
		server := &http.Server{Handler: http.HandlerFunc(floor)}
		go func() { _ = server.Serve(ln) }()
		defer server.Close()
	}
	if err := json.NewEncoder(os.Stdout).Encode(say); err != nil {
		return err
	}
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil //nolint:nilerr // that is the end
		}
		switch words := strings.Fields(line); words[0] {
		case "kernel":
			held, err := kernelMemory(words[1:])
			if err != nil {
				return err
			}
			fmt.Println(held)
		case "open":
			if err := openHeld(words[1:]); err != nil {
				return err
			}
			fmt.Println("opened")
		default:
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what the first one has made free of finalizers
			fmt.Println("freed")
		}
	}
}

var lean = websocket.Upgrader{
	ReadBufferSize: 256, WriteBufferSize: 512, WriteBufferPool: &sync.Pool{}, Subprotocols: []string{"bearer"},
	CheckOrigin: func(*http.Request) bool { return true },
}

// floor is the least that a server on this library can do: it echoes, asks nobody
// who they are, stores nothing, and a fresh goroutine waits for each message.
func floor(w http.ResponseWriter, r *http.Request) {
	conn, err := lean.Upgrade(w, r, nil)
	if err == nil && conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"connected"}`)) == nil {
		go echo(conn)
	}
}

func echo(conn *websocket.Conn) {
	kind, text, err := conn.ReadMessage()
	if err != nil || conn.WriteMessage(kind, text) != nil {
		_ = conn.Close()
		return
	}
	go echo(conn)
}
