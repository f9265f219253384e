package sandbox

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// family returns root and all its descendants, parents before children.
func family(root int) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	return descend(all, root), nil
}

func descend(all map[int]relative, root int) []int {
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

// freeze stops root and all its descendants, and returns them when all stand still. One look is not enough: a process
// may have been born behind our back. What was stopped during a whole look cannot have had children during the next.
func freeze(root int) ([]int, error) {
	var before []int
	err := poll(killLimit, func() (bool, error) {
		all, err := processes()
		if err != nil {
			return false, err
		}
		pids := descend(all, root)
		still := slices.Equal(pids, before)
		before = pids
		for _, pid := range pids {
			switch all[pid].state {
			case 'T', 't', 'Z':
			default:
				still = false
				_ = syscall.Kill(pid, syscall.SIGSTOP) // gone in the meantime is as good
			}
		}
		if _, ok := all[root]; !ok {
			return false, fmt.Errorf("process %d has ended", root)
		}
		return still, nil
	})
	if err != nil {
		return nil, fmt.Errorf("freeze its processes: %w", err)
	}
	return before, nil
}

// killTree kills p and all its descendants and waits until they have gone. Postgres refuses to start on a directory
// while one backend of the former server lives.
func killTree(p *process) error {
	if !p.running() {
		return nil
	}
	pids, err := freeze(p.pid()) // frozen processes cannot fork away
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
			q, there := all[pid]
			return there && q.state != 'Z' // a zombie holds nothing but its number
		}), nil
	})
}

// poll asks every few milliseconds until the answer is yes: other people's processes send no events.
func poll(limit time.Duration, ask func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := ask()
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not done after %s", limit)
		}
		<-tick.C
	}
}
