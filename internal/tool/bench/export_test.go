package bench

// RSS returns a process's resident set size in bytes.
func RSS(pid int) (float64, error) {
	u, err := readProcess(pid)
	return u.rss, err
}

// Usage returns a process's resident set size in bytes, and its CPU time in seconds.
func Usage(pid int) (rss, cpu float64, err error) {
	u, err := readProcess(pid)
	return u.rss, u.cpu, err
}
