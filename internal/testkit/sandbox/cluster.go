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

// A cluster is a directory with a subdirectory data, which initdb makes, and the password of the superuser.
type cluster struct {
	dir   string
	tools tools
	as    *account
}

func (c cluster) data() string { return filepath.Join(c.dir, "data") }

// prepare makes the cluster if it does not exist, and returns the password. The caller holds the lock of the directory.
func (c cluster) prepare(ctx context.Context, quick bool) (string, error) {
	if _, err := os.Stat(c.data()); err == nil {
		if _, err := os.Stat(filepath.Join(c.dir, "password")); err != nil {
			return "", fmt.Errorf("use existing data: %w (delete %s to start with empty data)", err, c.dir)
		}
		if err := c.removeStalePIDFile(); err != nil {
			return "", err
		}
		return password(c.dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for existing data: %w", err)
	}
	if quick {
		if err := c.copyTemplate(ctx); err != nil {
			return "", err
		}
		return password(c.dir)
	}
	return c.init(ctx)
}

// init runs initdb. If it is interrupted, data does not exist.
func (c cluster) init(ctx context.Context, extra ...string) (string, error) {
	secret, err := password(c.dir)
	if err != nil {
		return "", err
	}
	if err := c.as.chown(filepath.Join(c.dir, "password")); err != nil {
		return "", fmt.Errorf("change the owner of the password: %w", err)
	}
	unfinished, err := c.makeUnfinished()
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
		return "", fmt.Errorf("rename the data directory: %w", err)
	}
	return secret, nil
}

// makeUnfinished makes an empty directory of the account, to be renamed to data.
func (c cluster) makeUnfinished() (string, error) {
	dir := filepath.Join(c.dir, "data.unfinished")
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove unfinished data: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	if err := c.as.chown(dir); err != nil {
		return "", fmt.Errorf("change the owner of the data directory: %w", err)
	}
	return dir, nil
}

// run runs a program as the cluster's account and returns the end of its output.
func (c cluster) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the programs are those that find returned
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.tools.env, c.dir, c.as.attr()
	cmd.SysProcAttr.Setpgid = true // the terminal's Ctrl-C must not reach it; ctx ends it
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.lastLines(), err
}

// removeStalePIDFile removes the pid file of a server that has died. Postgres does so itself, unless another process now
// has that pid, which is common in containers. The file of a running postgres stays, and the start fails.
func (c cluster) removeStalePIDFile() error {
	path := filepath.Join(c.data(), "postmaster.pid")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an earlier server: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	program, _, _ := strings.Cut(strings.TrimSpace(commandLine(pid)), " -") // the arguments may contain anything
	if err == nil && filepath.Base(program) == "postgres" {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the pid file of an earlier server: %w", err)
	}
	return nil
}
