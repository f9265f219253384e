package auth

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime/debug"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

// workerLimit is how long one password may take a worker. It has less of the
// processors than the sockets have.
const workerLimit = 30 * time.Second

// Workers are processes that work on passwords in place of this one, one at a time
// each. There their 64 MiB are not this one's garbage, and the kernel gives the
// processors to the sockets first: Go's scheduler would let a socket wait its turn
// among the lanes of every password.
type workers struct {
	command []string
	log     *slog.Logger
	idle    chan *worker // nil stands for one that does not run
	warn    sync.Once

	mu      sync.Mutex
	running map[*worker]struct{}
	closed  bool
}

// A worker is one such process.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out pipe
	r   *bufio.Reader
	bye sync.Once
}

// A pipe is what exec gives us to read from.
type pipe interface {
	io.ReadCloser
	SetReadDeadline(t time.Time) error
}

// Delegate lets processes of a command, which calls [ServePasswords], do the work.
// They are started when they are first needed, without anything of this process's
// environment. Where none can be started the work is done here. Call it before the
// first password comes, and Close in the end.
func (p *Passwords) Delegate(command []string, log *slog.Logger) {
	w := &workers{command: command, log: log, idle: make(chan *worker, cap(p.turns)), running: map[*worker]struct{}{}}
	for range cap(p.turns) {
		w.idle <- nil
	}
	p.workers = w
}

// Close ends the workers, whatever they are at.
func (p *Passwords) Close() {
	if p.workers == nil {
		return
	}
	p.workers.mu.Lock()
	p.workers.closed = true
	running := p.workers.running
	p.workers.running = map[*worker]struct{}{}
	p.workers.mu.Unlock()
	for one := range running {
		one.end()
	}
}

// do lets a worker answer a request. ok is false where there is no worker, and the
// work has to be done here.
func (w *workers) do(op byte, encoded, password string) (answer string, ok bool, err error) {
	one := <-w.idle // there are as many as turns, so this does not wait
	defer func() { w.idle <- one }()
	for range 2 { // a worker may have died since its last password
		if one == nil {
			if one, err = w.start(); err != nil {
				w.warn.Do(func() {
					logging.Component(w.log, slog.LevelWarn, "Login", "Passwords are worked on beside the sockets, since no process for them can be started: "+err.Error())
				})
				return "", false, nil
			}
		}
		if answer, err = one.ask(op, encoded, password); err == nil {
			return answer, true, nil
		}
		w.mu.Lock()
		delete(w.running, one)
		w.mu.Unlock()
		one.end()
		one = nil
	}
	return "", true, fmt.Errorf("%w: the process for them died: %w", ErrBusy, err)
}

func (w *workers) start() (*worker, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errors.New("this replica is stopping")
	}
	cmd := exec.Command(w.command[0], w.command[1:]...) //nolint:gosec,noctx // our own program; its life is not one request's
	cmd.Env = []string{"GOMAXPROCS=1"}
	apart(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	one := &worker{cmd: cmd, in: in, r: bufio.NewReaderSize(out, 512)}
	one.out, _ = out.(pipe) // an *os.File
	w.running[one] = struct{}{}
	return one, nil
}

func (w *worker) ask(op byte, encoded, password string) (string, error) {
	if w.out != nil {
		_ = w.out.SetReadDeadline(time.Now().Add(workerLimit))
	}
	if _, err := w.in.Write(appendText(appendText([]byte{op}, encoded), password)); err != nil {
		return "", fmt.Errorf("ask: %w", err)
	}
	return readText(w.r)
}

// end kills the process, which holds nothing, and waits for it.
func (w *worker) end() {
	w.bye.Do(func() {
		_ = w.in.Close()
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait() // closes the pipe
	})
}

// What a worker is asked for.
const (
	askVerify = 'v'
	askHash   = 'h'
)

// ServePasswords is the other side of [Passwords.Delegate]: it answers requests until
// in ends, as a process that does nothing else, at a lower priority.
func ServePasswords(in io.Reader, out io.Writer) error {
	stepBack()
	r := bufio.NewReaderSize(in, maxEncoded+MaxPassword)
	for {
		op, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		encoded, err1 := readText(r)
		password, err2 := readText(r)
		if err := errors.Join(err, err1, err2); err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		if _, err := out.Write(appendText(nil, serve(op, encoded, password))); err != nil {
			return fmt.Errorf("answer a request: %w", err)
		}
		debug.FreeOSMemory() // the next one may be hours away
	}
}

// serve answers one request: "y" or "n", or a new hash; "" where it makes no sense.
func serve(op byte, encoded, password string) string {
	switch op {
	case askVerify:
		stored, err := parseHash(encoded)
		switch {
		case err != nil:
			return ""
		case stored.fits(password):
			return "y"
		}
		return "n"
	case askHash:
		hash, _ := Hash(password)
		return hash
	}
	return ""
}

// A text is its length in two bytes, big endian, and itself.
func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func readText(r *bufio.Reader) (string, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return string(b), err
}
