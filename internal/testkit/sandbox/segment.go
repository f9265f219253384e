package sandbox

import (
	"fmt"
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
	if !p.proc.Load().isRunning() { // else it was started again meanwhile
		p.cluster.removeSegment()
	}
	return nil
}

// removeSegment finds the segment in the seventh line of postmaster.pid: its key and its id. In a container root may not be
// allowed to remove what belongs to another user; then it stays until the container ends.
func (c cluster) removeSegment() {
	raw, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return // it was stopped, not killed
	}
	var key, id int
	if lines := strings.Split(string(raw), "\n"); len(lines) >= 7 {
		if n, _ := fmt.Sscan(lines[6], &key, &id); n == 2 {
			_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		}
	}
}
