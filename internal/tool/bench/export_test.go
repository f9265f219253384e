package bench

// RSS returns a process's resident set size in bytes.
func RSS(pid int) (float64, error) {
	s, err := process(pid)
	return s.rss, err
}
