package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const scratchPrefix, scratchNew = "rs-", "rsnew-"

// Scratch makes a temporary directory for servers. Its path is short, since the paths of Unix sockets are limited, and the
// user that Postgres runs as can enter it. remove deletes it; stop the servers in it first. Scratch also deletes
// directories whose owners have died.
func Scratch() (dir string, remove func() error, err error) {
	as, err := postgresAccount()
	if err != nil {
		return "", nil, err
	}
	var errs []error
	for _, base := range temporaryDirs() {
		if err := as.checkAccess(base); err != nil {
			errs = append(errs, err)
			continue
		}
		removeOrphans(base)
		dir, lock, err := scratchIn(base, as)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
	}
	return "", nil, fmt.Errorf("make a temporary directory: %w", errors.Join(errs...))
}

// scratchIn makes a directory in base. The directory gets its final name when it is locked, so that another process does
// not remove it as an orphan.
func scratchIn(base string, as *account) (string, *os.File, error) {
	made, err := os.MkdirTemp(base, scratchNew)
	if err != nil {
		return "", nil, err //nolint:wrapcheck // the caller says what it was for
	}
	if err := as.makeDir(made); err != nil {
		return "", nil, err
	}
	lock, err := tryLock(made)
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(base, scratchPrefix+strings.TrimPrefix(filepath.Base(made), scratchNew))
	if err := os.Rename(made, dir); err != nil {
		return "", nil, errors.Join(err, lock.Close())
	}
	return dir, lock, nil
}

// removeOrphans removes the current user's scratch directories whose owners have died.
func removeOrphans(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, scratchPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			continue // not a scratch directory
		}
		if lock, err := tryLock(dir); err == nil {
			if !hasServer(dir) {
				_ = os.RemoveAll(dir)
			}
			_ = lock.Close()
		}
	}
}

// hasServer reports whether a server in dir is still shutting down after the death of its owner.
func hasServer(dir string) bool {
	locks, _ := filepath.Glob(filepath.Join(dir, "*", "lock"))
	return slices.ContainsFunc(locks, func(path string) bool {
		lock, err := tryLock(filepath.Dir(path))
		if err != nil {
			return true
		}
		return lock.Close() != nil
	})
}

// temporaryDirs lists directories for temporary files, the configured one first.
func temporaryDirs() []string {
	return slices.Compact([]string{filepath.Clean(os.TempDir()), "/tmp", "/var/tmp"})
}
