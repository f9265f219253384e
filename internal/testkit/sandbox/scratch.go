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

// Scratch makes a temporary directory for servers: with a short path, since Unix sockets have a limit, and passable for
// the user that Postgres runs as. It also removes those that died owners left behind. remove deletes it; stop the servers
// in it first.
func Scratch() (dir string, remove func() error, err error) {
	as, err := postgresAccount()
	if err != nil {
		return "", nil, err
	}
	var errs []error
	for _, base := range temporary() {
		if err := as.mayEnter(base); err != nil {
			errs = append(errs, err)
			continue
		}
		sweep(base)
		dir, lock, err := scratchIn(base, as)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
	}
	return "", nil, fmt.Errorf("make a temporary directory: %w", errors.Join(errs...))
}

// scratchIn gives the directory its final name when it is locked, so that nobody sweeps it away meanwhile.
func scratchIn(base string, as *account) (string, *os.File, error) {
	made, err := os.MkdirTemp(base, scratchNew)
	if err != nil {
		return "", nil, err //nolint:wrapcheck // Scratch says what it was for
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

// sweep removes our scratch directories whose owner has died.
func sweep(base string) {
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
			continue // not one of ours
		}
		if lock, err := tryLock(dir); err == nil {
			if !serving(dir) {
				_ = os.RemoveAll(dir)
			}
			_ = lock.Close()
		}
	}
}

// serving tells whether a server below dir has outlived its owner, for the moment that its shutdown takes.
func serving(dir string) bool {
	locks, _ := filepath.Glob(filepath.Join(dir, "*", "lock"))
	return slices.ContainsFunc(locks, func(path string) bool {
		lock, err := tryLock(filepath.Dir(path))
		if err != nil {
			return true
		}
		return lock.Close() != nil
	})
}

// temporary lists directories for temporary things, the configured one first.
func temporary() []string {
	return slices.Compact([]string{filepath.Clean(os.TempDir()), "/tmp", "/var/tmp"})
}
