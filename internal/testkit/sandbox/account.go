package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// An account is the user that runs the programs of Postgres, which refuse to run as root. A nil account is the current
// user.
type account struct {
	name     string
	uid, gid uint32
}

func postgresAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // a nil account is the current user
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("parse the ids of user %q: %w", name, err)
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New(`postgres refuses to run as root, and there is no user "postgres" or "nobody" to run it as`)
}

func (a *account) effectiveUID() int {
	if a == nil {
		return os.Geteuid()
	}
	return int(a.uid)
}

func (a *account) attr() *syscall.SysProcAttr {
	if a == nil {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
}

// chown gives the account a path and everything below it.
func (a *account) chown(path string) error {
	if a == nil {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(a.uid), int(a.gid))
	})
}

// makeDir makes dir and its missing parents. They belong to the current user; an account can pass through them. The modes
// of existing directories do not change, except that of dir.
func (a *account) makeDir(dir string) error {
	var made []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err //nolint:wrapcheck // names the path
	}
	if a == nil {
		return nil
	}
	for _, d := range append(made, dir) {
		if info, err := os.Stat(d); err != nil {
			return err //nolint:wrapcheck // names the path
		} else if err := os.Chmod(d, info.Mode().Perm()|0o711); err != nil {
			return err //nolint:wrapcheck // names the path
		}
	}
	return a.checkAccess(dir)
}

// checkAccess returns an error if the account cannot pass through dir and its parents.
func (a *account) checkAccess(dir string) error {
	if a == nil {
		return nil
	}
	for d := realPath(dir); ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err //nolint:wrapcheck // names the path
		}
		bit := fs.FileMode(0o001)
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == a.uid {
			bit = 0o100
		} else if ok && st.Gid == a.gid {
			bit = 0o010
		}
		if info.Mode().Perm()&bit == 0 {
			return fmt.Errorf("postgres refuses to run as root, and user %q cannot enter %s (mode %04o): use another directory, or run as a user other than root",
				a.name, d, info.Mode().Perm())
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}
