package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// A replica is one `roomspa serve` in a process of its own. Its ports stay the same when it
// is restarted.
type replica struct {
	*sandbox.Program

	name string
}

func (r *replica) opsAddr() string { return fmt.Sprintf("127.0.0.1:%d", r.Second()) }

// startReplicas starts the replicas concurrently and waits until all are ready.
func (e *environment) startReplicas(ctx context.Context) error {
	replicas := make([]*replica, e.options.Replicas)
	errs := make([]error, len(replicas))
	var wg sync.WaitGroup
	for i := range replicas {
		name := fmt.Sprintf("replica-%d", i+1)
		wg.Go(func() {
			program, err := sandbox.StartProgram(ctx, sandbox.ProgramOptions{
				Name: name, Dir: filepath.Join(e.options.Dir, name), Log: e.options.Err, Answers: checkReady,
				Command: func(port, ops int) *exec.Cmd { return e.serve(name, port, ops) },
			})
			if errs[i] = err; err == nil {
				replicas[i] = &replica{program, name}
			}
		})
	}
	wg.Wait()
	for _, r := range replicas {
		if r != nil {
			e.replicas = append(e.replicas, r)
		}
	}
	return errors.Join(errs...)
}

// serve returns the command that runs a replica.
func (e *environment) serve(name string, port, ops int) *exec.Cmd {
	cmd := exec.Command(e.options.Command, "serve") //nolint:noctx // it outlives the context of its start
	cmd.Env = append(os.Environ(),
		"ROOMSPA_REPLICA="+name, fmt.Sprintf("ROOMSPA_LISTEN=127.0.0.1:%d", port), fmt.Sprintf("ROOMSPA_OPS_LISTEN=127.0.0.1:%d", ops),
		"ROOMSPA_DATABASE_URL="+e.postgres.URL(database), "ROOMSPA_REDIS_URL="+e.redis.URL(), "ROOMSPA_JWT_SECRET="+e.secret,
		"ROOMSPA_CONSOLE=true",
		"ROOMSPA_ADDRESS_SHARE=1",  // all clients come from this machine
		"ROOMSPA_SHUTDOWN_WAIT=0s", // there are no endpoints to leave first
	)
	if e.options.Classic {
		cmd.Env = append(cmd.Env, "ROOMSPA_CLASSIC_CLIENTS=true", "ROOMSPA_SUPPORT_MAY_SEND=true")
	}
	return cmd
}

// checkReady returns an error unless a replica is ready.
func checkReady(ctx context.Context, _, ops int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", ops), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	return fmt.Errorf("not ready: %s", strings.Join(strings.Fields(string(body)), " "))
}
