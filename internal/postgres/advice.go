package postgres

// advice is what to do about each cause, for an operator.
var advice = map[string]string{
	causeRefused:       "Start Postgres, or correct host and port in the database URL.",
	causeUnreachable:   "Look at routes, firewalls and network policies between here and the host.",
	causeDNS:           "Correct the host's name in the database URL, or look at the resolver.",
	causeTLS:           "Compare sslmode and sslrootcert in the database URL with what the server offers.",
	causePassword:      "Correct user and password in the database URL, or look at pg_hba.conf.",
	causeNoDatabase:    "Create the database, or correct its name in the database URL.",
	causePermission:    "Grant the user what is missing: it owns the schema roomspa, or may use all of its tables.",
	causeTooMany:       "Lower --database-max-connections or the number of replicas, raise max_connections, or put PgBouncer in front.",
	causeStarting:      "Wait until the server has recovered; its log says how far it is.",
	causeShutdown:      "Wait for the server's return, or look why it was stopped.",
	causePool:          "Look for slow statements and locks in pg_stat_activity, or raise --database-max-connections.",
	causeStatement:     "Look for load and locks in pg_stat_activity; raise --database-statement-timeout only after that.",
	causeLock:          "Look for who holds the lock: pg_blocking_pids(pid) in pg_stat_activity.",
	causeStalled:       "Look whether the server is overloaded or paused, and whether something on the way swallows packets.",
	causeLost:          "Look at the server's log for why it ended the connection, and at proxies for idle time-outs.",
	causeDeadlock:      "Try again; if it comes back, the server's log names the other transaction.",
	causeReadOnly:      "Point the database URL at the primary, or list all hosts; or free disk space and lift default_transaction_read_only.",
	causeDiskFull:      "Make room on the server's disk.",
	causeMemory:        "Give the server more memory, or fewer connections.",
	causeSchemaMissing: "Run: roomspa migrate up",
	causeSchemaOld:     "Run: roomspa migrate up",
	causeSchemaNew:     "Use a roomspa that is as new as the schema, or newer.",
}

// Advice returns what to do about an error of this package, or "" where it is not
// Postgres that needs something.
func Advice(err error) string { return advice[Cause(err)] }
