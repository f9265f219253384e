package auth

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

// workerTimeout is the time limit for one password in a worker. It is generous, because workers
// have the lowest priority.
const workerTimeout = time.Minute

// workers is a pool of processes that verify and hash passwords for this one, so that their
// memory does not become garbage of this process and the kernel can prefer the sockets
// (docs/adr/0012). Each works on one password at a time.
type workers struct {
	command []string
	log     *slog.Logger
	warn    sync.Once

	mu      sync.Mutex
	running map[*worker]struct{}
	idle    []*worker
	most    int // number of workers that may be idle
	closed  bool
}

// A worker is one process.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
	r      *bufio.Reader
	killed sync.Once
}

// UseProcesses makes processes of the command, which must call [ServePasswords], do the work.
// They are started on demand and do not inherit the environment of this process. If none can
// be started, this process does the work. UseProcesses must be called before the first
// password; [Passwords.Close] ends the processes.
func (p *Passwords) UseProcesses(command []string, log *slog.Logger) {
	p.workers = &workers{command: command, log: log, most: p.queue.turns, running: map[*worker]struct{}{}}
}

// Resize changes the number of passwords to work on at a time. Those that are under way go on.
// Processes that are not needed any more are ended.
func (p *Passwords) Resize(concurrency int) {
	p.queue.resize(concurrency)
	if p.workers != nil {
		p.workers.resize(concurrency)
	}
}

// Close kills the processes, whatever they are doing. They cannot be started again.
func (p *Passwords) Close() {
	if p.workers == nil {
		return
	}
	p.workers.mu.Lock()
	p.workers.closed = true
	running := p.workers.running
	p.workers.running = map[*worker]struct{}{}
	p.workers.mu.Unlock()
	for wk := range running {
		wk.kill()
	}
}

// request sends a request to a worker and returns its answer. ok is false if no worker can be
// started, and the caller has to do the work. The error wraps [ErrBusy].
func (w *workers) request(op byte, encoded, password string) (answer string, ok bool, err error) {
	wk := w.take()
	defer func() { w.give(wk) }()
	for range 2 { // the worker may have died since its last request
		if wk == nil {
			if wk, err = w.start(); err != nil {
				w.warn.Do(func() {
					logging.Component(w.log, slog.LevelWarn, "Login", "Cannot start a password process: "+err.Error()+"; hashing passwords in the server's process")
				})
				return "", false, nil
			}
		}
		if answer, err = wk.call(op, encoded, password); err == nil {
			return answer, true, nil
		}
		w.end(wk)
		wk = nil
	}
	return "", true, fmt.Errorf("%w: the password process died: %w", ErrBusy, err)
}

// take returns an idle worker, or nil if one has to be started.
func (w *workers) take() *worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) == 0 {
		return nil
	}
	last := len(w.idle) - 1
	wk := w.idle[last]
	w.idle = w.idle[:last]
	return wk
}

// give makes a worker idle, or ends it if enough are. It may be nil.
func (w *workers) give(wk *worker) {
	if wk == nil {
		return
	}
	w.mu.Lock()
	w.idle = append(w.idle, wk)
	w.mu.Unlock()
	w.trim()
}

func (w *workers) resize(most int) {
	w.mu.Lock()
	w.most = most
	w.mu.Unlock()
	w.trim()
}

// trim ends the idle workers that are too many.
func (w *workers) trim() {
	w.mu.Lock()
	surplus := slices.Clone(w.idle[min(w.most, len(w.idle)):])
	w.idle = w.idle[:len(w.idle)-len(surplus)]
	w.mu.Unlock()
	for _, wk := range surplus {
		w.end(wk)
	}
}

func (w *workers) end(wk *worker) {
	w.mu.Lock()
	delete(w.running, wk)
	w.mu.Unlock()
	wk.kill()
}

func (w *workers) start() (*worker, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errors.New("the replica is shutting down")
	}
	cmd := exec.Command(w.command[0], w.command[1:]...) //nolint:gosec,noctx // our own program, which outlives the request
	cmd.Env = []string{"GOMAXPROCS=1"}
	detach(cmd)
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
	wk := &worker{cmd: cmd, in: in, r: bufio.NewReaderSize(out, 512)}
	wk.out, _ = out.(*os.File) // for its deadline; exec does not promise the type
	w.running[wk] = struct{}{}
	return wk, nil
}

func (w *worker) call(op byte, encoded, password string) (string, error) {
	if w.out != nil {
		_ = w.out.SetReadDeadline(time.Now().Add(workerTimeout))
	}
	if _, err := w.in.Write(appendText(appendText([]byte{op}, encoded), password)); err != nil {
		return "", fmt.Errorf("send the request: %w", err)
	}
	return readText(w.r)
}

// kill kills the process, which has no state to save, and waits for it.
func (w *worker) kill() {
	w.killed.Do(func() {
		_ = w.in.Close()
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait() // closes the pipe
	})
}

// The operations of a worker.
const (
	opVerify = 'v'
	opHash   = 'h'
)

// ServePasswords runs a process of [Passwords.UseProcesses]. It lowers the priority of the
// process and answers the requests from in until in ends.
func ServePasswords(in io.Reader, out io.Writer) error {
	lowerPriority()
	return serveRequests(in, out)
}

func serveRequests(in io.Reader, out io.Writer) error {
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
		debug.FreeOSMemory() // the next request can be hours away
	}
}

// serve returns the answer to one request: "y" or "n" for opVerify, a hash for opHash, or "" if
// the request is invalid.
func serve(op byte, encoded, password string) string {
	switch op {
	case opVerify:
		stored, err := parseHash(encoded)
		switch {
		case err != nil:
			return ""
		case stored.matches(password):
			return "y"
		}
		return "n"
	case opHash:
		hash, _ := Hash(password)
		return hash
	}
	return ""
}

// appendText appends the length of s as two bytes, big endian, and s.
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
