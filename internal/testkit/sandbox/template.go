package sandbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// templateArgs are arguments of initdb for the template. It need not survive a crash, and small WAL segments are copied
// faster.
var templateArgs = []string{"--no-sync", "--wal-segsize=1"}

// copyTemplate copies the template, which it creates if it does not exist.
func (c cluster) copyTemplate(ctx context.Context) error {
	from, err := c.template(ctx)
	if err != nil {
		return fmt.Errorf("create the template cluster: %w", err)
	}
	secret, err := os.ReadFile(filepath.Join(from.dir, "password"))
	if err != nil {
		return fmt.Errorf("copy the template cluster: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "password"), secret, 0o600); err != nil {
		return fmt.Errorf("copy the template cluster: %w", err)
	}
	to, err := c.makeUnfinished()
	if err != nil {
		return err
	}
	// cp runs as the account, which then owns the copy. GNU's cp shares blocks if the file system supports it.
	if _, err := c.run(ctx, "/bin/cp", "-R", "--reflink=auto", from.data()+"/.", to); err != nil {
		if to, err = c.makeUnfinished(); err != nil {
			return err
		}
		if err := c.copyFiles(from.data(), to); err != nil {
			return fmt.Errorf("copy the template cluster: %w", err)
		}
	}
	if err := os.Rename(to, c.data()); err != nil {
		return fmt.Errorf("rename the data directory: %w", err)
	}
	return nil
}

func (c cluster) copyFiles(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err //nolint:wrapcheck // names the path
	}
	return c.as.chown(to)
}

// template returns the cluster to copy. If several test binaries need it at once, one creates it and the others wait.
func (c cluster) template(ctx context.Context) (cluster, error) {
	version, err := c.run(ctx, c.tools.path("postgres"), "--version")
	if err != nil {
		return cluster{}, fmt.Errorf("get the version of postgres: %w: %s", err, version)
	}
	base, err := cacheDir(c.as)
	if err != nil {
		return cluster{}, err
	}
	lock, err := waitLock(ctx, base)
	if err != nil {
		return cluster{}, err
	}
	defer func() { _ = lock.Close() }()

	// The path is part of the key, since another build may have other defaults.
	key := sha256.Sum256([]byte(version + c.tools.dir + strings.Join(templateArgs, " ")))
	final := c
	final.dir = filepath.Join(base, fmt.Sprintf("uid%d-%x", c.as.effectiveUID(), key[:6]))
	if _, err := os.Stat(final.data()); err == nil {
		return final, nil
	}
	making := c
	making.dir = final.dir + ".unfinished"
	if err := errors.Join(os.RemoveAll(making.dir), os.RemoveAll(final.dir)); err != nil {
		return cluster{}, fmt.Errorf("remove an unfinished template: %w", err)
	}
	if err := c.as.makeDir(making.dir); err != nil {
		return cluster{}, err
	}
	if _, err := making.init(ctx, templateArgs...); err != nil {
		return cluster{}, err
	}
	if err := os.Rename(making.dir, final.dir); err != nil {
		return cluster{}, fmt.Errorf("rename the template: %w", err)
	}
	return final, nil
}

// cacheDir returns a directory for templates that the account can enter: in the user's cache directory, or else in a
// temporary directory. It rejects a directory that another user owns or can write to.
func cacheDir(as *account) (string, error) {
	var candidates []string
	if caches, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(caches, "roomspa-sandbox"))
	}
	for _, tmp := range temporaryDirs() {
		candidates = append(candidates, filepath.Join(tmp, fmt.Sprintf("roomspa-sandbox-%d", os.Geteuid())))
	}
	var errs []error
	for _, dir := range candidates {
		if err := as.checkAccess(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		if err := as.makeDir(dir); err != nil {
			errs = append(errs, err)
			continue
		}
		info, err := os.Lstat(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(st.Uid) != os.Geteuid() || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
			errs = append(errs, fmt.Errorf("%s belongs to another user or is writable by others", dir))
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("find a directory for templates: %w", errors.Join(errs...))
}
