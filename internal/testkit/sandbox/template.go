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

// quickArgs are initdb's in the cache: nobody minds losing it, and small WAL segments copy faster.
var quickArgs = []string{"--no-sync", "--wal-segsize=1"}

// copyCached fills the cluster from the cache, which it makes first if it is missing.
func (c cluster) copyCached(ctx context.Context) error {
	from, err := c.cached(ctx)
	if err != nil {
		return fmt.Errorf("initialise a cluster to copy: %w", err)
	}
	secret, err := os.ReadFile(filepath.Join(from.dir, "password"))
	if err != nil {
		return fmt.Errorf("copy cluster: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "password"), secret, 0o600); err != nil {
		return fmt.Errorf("copy cluster: %w", err)
	}
	to, err := c.unfinished()
	if err != nil {
		return err
	}
	// GNU's cp shares the blocks where the file system can, and runs as the account, so that the copy is its own.
	if _, err := c.run(ctx, "/bin/cp", "-R", "--reflink=auto", from.data()+"/.", to); err != nil {
		if to, err = c.unfinished(); err != nil {
			return err
		}
		if err := c.copySlowly(from.data(), to); err != nil {
			return fmt.Errorf("copy cluster: %w", err)
		}
	}
	if err := os.Rename(to, c.data()); err != nil {
		return fmt.Errorf("put data in place: %w", err)
	}
	return nil
}

func (c cluster) copySlowly(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err //nolint:wrapcheck // names the path
	}
	return c.as.own(to)
}

// cached returns the cluster to copy. Many test binaries may ask at once: one makes it, the others wait.
func (c cluster) cached(ctx context.Context) (cluster, error) {
	version, err := c.run(ctx, c.tools.path("postgres"), "--version")
	if err != nil {
		return cluster{}, fmt.Errorf("ask postgres for its version: %w: %s", err, version)
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

	// Another path may be another build, with other defaults.
	key := sha256.Sum256([]byte(version + c.tools.dir + strings.Join(quickArgs, " ")))
	final := c
	final.dir = filepath.Join(base, fmt.Sprintf("uid%d-%x", c.as.uidOrOurs(), key[:6]))
	if _, err := os.Stat(final.data()); err == nil {
		return final, nil
	}
	making := c
	making.dir = final.dir + ".unfinished"
	if err := errors.Join(os.RemoveAll(making.dir), os.RemoveAll(final.dir)); err != nil {
		return cluster{}, fmt.Errorf("remove remains: %w", err)
	}
	if err := c.as.makeDir(making.dir); err != nil {
		return cluster{}, err
	}
	if _, err := making.init(ctx, quickArgs...); err != nil {
		return cluster{}, err
	}
	if err := os.Rename(making.dir, final.dir); err != nil {
		return cluster{}, fmt.Errorf("put cluster in place: %w", err)
	}
	return final, nil
}

// cacheDir returns a directory of ours that the account can enter: below the user's caches, else below a temporary
// directory (root's home is closed to others). Somebody else's directory, waiting there for us, is not taken.
func cacheDir(as *account) (string, error) {
	var candidates []string
	if caches, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(caches, "roomspa-sandbox"))
	}
	for _, tmp := range temporary() {
		candidates = append(candidates, filepath.Join(tmp, fmt.Sprintf("roomspa-sandbox-%d", os.Geteuid())))
	}
	var errs []error
	for _, dir := range candidates {
		if err := as.mayEnter(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
			errs = append(errs, fmt.Errorf("%s is not ours alone", dir))
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("find a place for caches: %w", errors.Join(errs...))
}
