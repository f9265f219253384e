package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Kill is like that of other servers. It also removes the segment of System V shared memory by which Postgres notices that
// its data directory is in use: it would outlive a server that is not started again, and a system has a limited number.
func (p *Postgres) Kill() error {
	if err := p.server.Kill(); err != nil {
		return err
	}
	p.op.Lock()
	defer p.op.Unlock()
	if p.proc.Load().isRunning() {
		return nil // it was started again meanwhile
	}
	return p.cluster.removeSegment()
}

// removeSegment finds the segment in the seventh line of postmaster.pid: its key and its id.
func (c cluster) removeSegment() error {
	raw, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the shared memory of a killed server: %w", err)
	}
	lines := strings.Split(string(raw), "\n")
	var key, id int
	if len(lines) < 7 {
		return nil // it was killed before it had one
	}
	if n, _ := fmt.Sscan(lines[6], &key, &id); n < 2 {
		return nil
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EIDRM) {
		return fmt.Errorf("remove the shared memory of a killed server: %w", err)
	}
	return nil
}
