package sandbox

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// processTree returns a process and all its descendants, parents first.
func processTree(root int) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	return descendants(all, root), nil
}

func descendants(all map[int]processInfo, root int) []int {
	children := make(map[int][]int)
	for pid, p := range all {
		children[p.parent] = append(children[p.parent], pid)
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		next := children[pids[i]]
		slices.Sort(next)
		pids = append(pids, next...)
	}
	return pids
}

// suspendTree suspends a process and all its descendants, and returns them. It lists the processes until two consecutive
// lists are equal and all of them are suspended: a process may have forked during one listing, but not between two.
func suspendTree(root int) ([]int, error) {
	var before []int
	err := poll(killLimit, func() (bool, error) {
		all, err := processes()
		if err != nil {
			return false, err
		}
		pids := descendants(all, root)
		suspended := slices.Equal(pids, before)
		before = pids
		for _, pid := range pids {
			switch all[pid].state {
			case 'T', 't', 'Z':
			default:
				suspended = false
				_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended meanwhile
			}
		}
		if _, ok := all[root]; !ok {
			return false, fmt.Errorf("process %d has ended", root)
		}
		return suspended, nil
	})
	if err != nil {
		return nil, fmt.Errorf("suspend its processes: %w", err)
	}
	return before, nil
}

// killTree kills a process and all its descendants, and waits until they have ended. Postgres does not start while a
// backend of the previous server still runs.
func killTree(p *process) error {
	if !p.isRunning() {
		return nil
	}
	pids, err := suspendTree(p.pid()) // a suspended process cannot fork
	if err != nil {
		pids = []int{p.pid()}
	}
	for _, pid := range slices.Backward(pids) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
	return poll(killLimit, func() (bool, error) {
		all, err := processes()
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(pids, func(pid int) bool {
			q, exists := all[pid]
			return exists && q.state != 'Z' // a zombie holds no resources
		}), nil
	})
}

// poll calls done every few milliseconds until it returns true or an error.
func poll(limit time.Duration, done func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not done after %s", limit)
		}
		<-tick.C
	}
}
