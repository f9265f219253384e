package sandbox

// TestSettings returns settings that make Postgres quick and small. It may lose everything in a power cut, but nothing
// that was committed in a Kill: a commit has given its WAL to the kernel. That is why synchronous_commit stays on, which
// without fsync costs next to nothing. The map is the caller's.
func TestSettings() map[string]string {
	return map[string]string{
		"fsync":            "off",
		"full_page_writes": "off",
		"max_connections":  "200",
		"shared_buffers":   "32MB",
		"autovacuum":       "off",
		"jit":              "off",
		"max_wal_size":     "1GB",

		"wal_level":       "minimal",
		"max_wal_senders": "0",

		// In the data directory, so that a killed server leaves nothing behind in /dev/shm.
		"dynamic_shared_memory_type": "mmap",
	}
}

// RedisTestSettings returns settings for a Redis that keeps nothing on disk. The map is the caller's.
func RedisTestSettings() map[string]string {
	return map[string]string{"appendonly": "no", "save": ""}
}
