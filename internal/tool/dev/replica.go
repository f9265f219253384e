package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

func newSecret() string { return rand.Text() + rand.Text() } // 260 bits

// A replica is one `roomspa serve` in a process of its own. It keeps its ports
// when it is started again.
type replica struct {
	name      string
	command   string
	env       []string
	addr, ops string
	out       io.Writer

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// startReplicas starts the replicas and waits until all are ready.
func (e *environment) startReplicas(ctx context.Context) error {
	out := &lockedWriter{w: e.options.Err}
	for i := range e.options.Replicas {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		ops, err := freeAddr()
		if err != nil {
			return err
		}
		r := &replica{name: fmt.Sprintf("replica-%d", i+1), command: e.options.Command, addr: addr, ops: ops, out: out}
		r.env = append(os.Environ(),
			"ROOMSPA_REPLICA="+r.name, "ROOMSPA_LISTEN="+addr, "ROOMSPA_OPS_LISTEN="+ops,
			"ROOMSPA_DATABASE_URL="+e.postgres.URL(database), "ROOMSPA_REDIS_URL="+e.redis.URL(), "ROOMSPA_JWT_SECRET="+e.secret,
			"ROOMSPA_SHUTDOWN_WAIT=0s", // nobody's endpoints to wait for
		)
		if err := r.start(ctx); err != nil {
			return err
		}
		e.replicas = append(e.replicas, r)
	}
	for _, r := range e.replicas {
		if err := r.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// freeAddr returns an address of this machine alone that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}

func (r *replica) start(context.Context) error {
	cmd := exec.CommandContext(context.Background(), r.command, "serve")
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, r.out, r.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches dev alone, which stops things in order
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", r.name, err)
	}
	done := make(chan struct{})
	r.mu.Lock()
	r.cmd, r.done, r.err = cmd, done, nil
	r.mu.Unlock()
	go func() { // ends with the process, which stop waits for
		err := cmd.Wait()
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
		close(done)
	}()
	return nil
}

// Done is closed when the current process has ended.
func (r *replica) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// Err says how the last process ended.
func (r *replica) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		return errors.New("exit status 0")
	}
	return r.err
}

func (r *replica) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd.Process.Pid
}

// ready waits until the replica says that it is.
func (r *replica) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := "no answer"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.ops+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", r.name, err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = strings.Join(strings.Fields(string(body)), " ")
		}
		select {
		case <-tick.C:
		case <-r.Done():
			return fmt.Errorf("%s ended at once (%w); its log above says why", r.name, r.Err())
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready: %s", r.name, last)
		}
	}
}

// stop asks the process to end, and kills it when ctx ends first.
func (r *replica) stop(ctx context.Context) {
	r.mu.Lock()
	cmd, done := r.cmd, r.done
	r.mu.Unlock()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-done
	}
}

// lockedWriter keeps the lines of several processes whole.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
