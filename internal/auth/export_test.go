package auth

// SkipRest saves the rest of the work of a new hash after that of a cheaper one.
func (p *Passwords) SkipRest() { p.decoy = cheap(1).decoy }

// ServeRequests is ServePasswords at the priority of the caller: on a busy machine the lowest
// one gets nothing for minutes.
var ServeRequests = serveRequests

// Workers returns the ids of the running processes.
func (p *Passwords) Workers() (pids []int) {
	p.workers.mu.Lock()
	defer p.workers.mu.Unlock()
	for w := range p.workers.running {
		pids = append(pids, w.cmd.Process.Pid)
	}
	return pids
}

// NewNamedKeys returns the keys of a file with key ids.
var NewNamedKeys = newNamedKeys

// ParseKeySet returns how many keys a key set has, for the fuzzer.
func ParseKeySet(text []byte) (int, error) {
	keys, _, err := parseKeySet(text)
	return len(keys), err
}
