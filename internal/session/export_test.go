package session

// IdleWriters returns how many writers wait for work.
func (r *Registry) IdleWriters() int {
	r.writers.mu.Lock()
	defer r.writers.mu.Unlock()
	return len(r.writers.idle)
}
