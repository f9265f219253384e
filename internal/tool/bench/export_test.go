package bench

// RSS returns a process's resident set size in bytes.
func RSS(pid int) (float64, error) {
	u, err := readProcess(pid)
	return u.rss, err
}
