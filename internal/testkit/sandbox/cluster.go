package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// cluster is a directory with what initdb makes (data) and the superuser's password beside it.
type cluster struct {
	dir   string
	tools tools
	as    *account
}

func (c cluster) data() string { return filepath.Join(c.dir, "data") }

// prepare makes the cluster unless it is there, and returns the password. The caller holds the directory's lock.
func (c cluster) prepare(ctx context.Context, quick bool) (string, error) {
	if _, err := os.Stat(c.data()); err == nil {
		if _, err := os.Stat(filepath.Join(c.dir, "password")); err != nil {
			return "", fmt.Errorf("use existing data: %w (remove %s to begin anew)", err, c.dir)
		}
		if err := c.forgetFormer(); err != nil {
			return "", err
		}
		return password(c.dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for data: %w", err)
	}
	if quick {
		if err := c.copyCached(ctx); err != nil {
			return "", err
		}
		return password(c.dir)
	}
	return c.init(ctx)
}

// init runs initdb. Whatever dies on the way, data is either complete or missing.
func (c cluster) init(ctx context.Context, extra ...string) (string, error) {
	secret, err := password(c.dir)
	if err != nil {
		return "", err
	}
	if err := c.as.own(filepath.Join(c.dir, "password")); err != nil {
		return "", fmt.Errorf("hand over password: %w", err)
	}
	unfinished, err := c.unfinished()
	if err != nil {
		return "", err
	}
	args := append([]string{
		"-D", unfinished, "-U", superuser, "--pwfile", filepath.Join(c.dir, "password"),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
	}, extra...)
	if out, err := c.run(ctx, c.tools.path("initdb"), args...); err != nil {
		return "", fmt.Errorf("run initdb: %w: %s", err, out)
	}
	if err := os.Rename(unfinished, c.data()); err != nil {
		return "", fmt.Errorf("put data in place: %w", err)
	}
	return secret, nil
}

// unfinished makes an empty directory, the account's own, to be renamed to data.
func (c cluster) unfinished() (string, error) {
	dir := filepath.Join(c.dir, "data.unfinished")
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove remains: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make data directory: %w", err)
	}
	if err := c.as.own(dir); err != nil {
		return "", fmt.Errorf("hand over data directory: %w", err)
	}
	return dir, nil
}

// run runs a program as the cluster's account and returns its last words.
func (c cluster) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // programs that find found
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.tools.env, c.dir, c.as.attr()
	cmd.SysProcAttr.Setpgid = true // not for the terminal's Ctrl-C; ctx ends it
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.lastWords(), err
}

// forgetFormer removes the pid file of a server that died. Postgres does so itself, unless the number now belongs to
// some other process: common in containers, where numbers are small. A live postgres keeps its file and our start fails.
func (c cluster) forgetFormer() error {
	path := filepath.Join(c.data(), "postmaster.pid")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a former server: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	program, _, _ := strings.Cut(strings.TrimSpace(commandLine(pid)), " -") // what comes after may say anything
	if err == nil && filepath.Base(program) == "postgres" {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("forget a former server: %w", err)
	}
	return nil
}
